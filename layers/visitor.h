// One list says everything about a layer's state: names, order, counting, saving, freezing and building come from it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "autodiff/parameter.h"
#include "layers/layer.h"
#include "layers/summary.h"

namespace tapestry {

class Builder;
class Visitor;

// The shape that flows from layer to layer while a model is built, without the batch axis.
struct Flow {
  Flow() = default;                                                                       // not known
  Flow(Shape shape, bool guessed = false) : shape(std::move(shape)), guessed(guessed) {}  // NOLINT: implicit

  std::optional<Shape> shape;
  bool guessed = false;  // from the order of a struct's members: sizes that the user gave win over it
  Shape flattened;       // what the last axis was before a Flatten, such as [H, W, C]; empty: it was none
};

namespace detail {

template <class L>
concept Visitable = requires(L& layer, Visitor& visitor) {
  layer.visit(visitor);
};

// What may have state: a layer, or a struct with visit.
template <class L>
concept Stateful = Layer<L> || Visitable<L>;

class LayerRef;
// Builds a layer without build(): as the chain of the layers that it visits.
Flow build_chain(Builder& builder, const LayerRef& layer, const Flow& in);

// Any layer by reference, with what building needs of it.
class LayerRef {
 public:
  template <class L>
  explicit LayerRef(L& layer) : object_(&layer), ops_(&kOps<L>) {}

  const void* object() const { return object_; }
  std::string_view type() const { return ops_->type; }
  bool same(const LayerRef& other) const { return object_ == other.object_ && ops_ == other.ops_; }
  Location* where() const { return ops_->where(object_); }  // where the user wrote the layer; nullptr: it does not say
  void visit(Visitor& visitor) const { ops_->visit(object_, visitor); }
  Flow build(Builder& builder, const Flow& in) const { return ops_->build(object_, builder, in); }
  // A Var that holds nothing when the layer is not called with one Var.
  Var forward(const Var& x, Mode mode) const { return ops_->forward(object_, x, mode); }
  std::optional<Cost> cost(const Shape& in, const Shape& out) const { return ops_->cost(object_, in, out); }

 private:
  struct Ops {
    std::string_view type;
    Location* (*where)(void*);
    void (*visit)(void*, Visitor&);
    Flow (*build)(void*, Builder&, const Flow&);
    Var (*forward)(void*, const Var&, Mode);
    std::optional<Cost> (*cost)(void*, const Shape&, const Shape&);
  };

  template <class L>
  static Location* where_of(void* object) {
    if constexpr (requires(L & layer) { layer.options.where.layer; })
      return &static_cast<L*>(object)->options.where;
    else
      return nullptr;
  }
  template <class L>
  static void visit_of(void* object, Visitor& visitor) {
    if constexpr (Visitable<L>) static_cast<L*>(object)->visit(visitor);
  }
  template <class L>
  static Flow build_of(void* object, Builder& builder, const Flow& in) {
    L& layer = *static_cast<L*>(object);
    if constexpr (requires { layer.build(builder, in); })
      return layer.build(builder, in);
    else
      return build_chain(builder, LayerRef(layer), in);
  }
  template <class L>
  static Var forward_of(void* object, const Var& x, Mode mode) {
    if constexpr (Layer<L>)
      return apply(*static_cast<L*>(object), x, mode);
    else
      return {};
  }
  template <class L>
  static std::optional<Cost> cost_of(void* object, const Shape& in, const Shape& out) {
    if constexpr (requires(L & layer) { layer.cost(in, out); })
      return static_cast<L*>(object)->cost(in, out);
    else
      return std::nullopt;
  }
  template <class L>
  static constexpr Ops kOps{type_name<L>(), where_of<L>, visit_of<L>, build_of<L>, forward_of<L>, cost_of<L>};

  void* object_;
  const Ops* ops_;
};

}  // namespace detail

// Sees a layer's parameters, buffers and nested layers, in order. A layer with state has
//   void visit(Visitor& v) { v("weight", weight); v("running_mean", running_mean); v("body", body); }
// Nested names join to dotted paths such as "body.weight"; a vector's elements are numbered, "blocks.0.weight".
class Visitor {
 public:
  virtual ~Visitor() = default;

  void operator()(std::string_view name, Parameter& parameter);
  void operator()(std::string_view name, Buffer& buffer);
  template <class L>
  requires detail::Stateful<L>
  void operator()(std::string_view name, L& layer) {
    const Step step(path_, name);
    visit_layer(detail::LayerRef(layer));
  }
  template <class L>
  void operator()(std::string_view name, std::vector<L>& layers) {
    const Step step(path_, name);
    for (std::size_t i = 0; i < layers.size(); ++i) (*this)(std::to_string(i), layers[i]);
  }
  template <class L>
  void operator()(std::string_view name, std::optional<L>& layer) {
    if (layer) (*this)(name, *layer);
  }

 protected:
  const std::string& path() const { return path_; }  // of what is being visited
  virtual void visit_parameter(Parameter& parameter) = 0;
  virtual void visit_buffer(Buffer& buffer) = 0;
  virtual void visit_layer(const detail::LayerRef& layer) { layer.visit(*this); }

 private:
  // The path with one more name, as long as it lives.
  class Step {
   public:
    Step(std::string& path, std::string_view name) : path_(path), length_(path.size()) {
      if (!path.empty() && !name.empty()) path += '.';
      path += name;
    }
    ~Step() { path_.resize(length_); }
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

   private:
    std::string& path_;
    std::size_t length_;
  };

  std::string path_;
};

}  // namespace tapestry
