// A chain of layers: x -> ... -> y.
#pragma once

#include <initializer_list>

#include "layers/any_layer.h"

namespace tapestry {

// The shape of one sample, without the batch axis: Input{28, 28, 1} >> Conv2d{...} >> ... It is no layer, so numbering
// starts after it.
struct Input {
  Input(std::initializer_list<std::int64_t> sizes) : shape(sizes) {}
  explicit Input(Shape shape) : shape(std::move(shape)) {}
  Shape shape;
};

// Layers are named by their number: "0.weight". Copies are deep: they have parameters of their own, again in one block;
// a moved model keeps its own. Numbers and names outlive the context that it was built with.
class Sequential {
 public:
  Sequential() = default;
  explicit Sequential(Input input) : input_(std::move(input.shape)) {}
  Sequential(const Sequential& other);
  Sequential(Sequential&& other) noexcept;  // what was moved from is empty and not built
  Sequential& operator=(const Sequential& other) { return *this = Sequential(other); }
  Sequential& operator=(Sequential&& other) noexcept;

  // Adds a layer at the end, or puts it in the place of another. The model is to be built again; layers that are built
  // already keep their numbers. ArgumentError past the end.
  Sequential& append(AnyLayer layer);
  Sequential& replace(std::size_t index, AnyLayer layer);

  // See build() in builder.h. ArgumentError when the model was built already.
  void build(Context& context) { build_from(context, {}, DType::float32); }
  void build(Context& context, const Shape& input, DType dtype = DType::float32) { build_from(context, input, dtype); }
  bool built() const { return built_; }

  // The output of the last layer. Layers are computed in as few passes as layers/fusion.h knows, unless the context was
  // told not to fuse; names, numbers and values are those of the layers by themselves. ArgumentError, from the first
  // layer that needs it, before the model is built.
  Var operator()(const Var& x, Mode mode, const Tail& tail = {}) const;
  Part part() const;  // of its last pass

  std::size_t size() const { return layers_.size(); }
  const AnyLayer& operator[](std::size_t index) const;  // ArgumentError past the end
  // The layer of a known type: model.get<Linear>(2).weight. ArgumentError when layer `index` is of another type.
  template <Layer L>
  const L& get(std::size_t index) const {
    const L* const layer = (*this)[index].template get<L>();
    if (layer == nullptr) fail_type(index, detail::type_name<L>());
    return *layer;
  }
  template <Layer L>
  L& get(std::size_t index) {
    return const_cast<L&>(std::as_const(*this).template get<L>(index));
  }

  ParameterList parameters() const { return tapestry::parameters(*this); }
  std::vector<StateEntry> state() const { return tapestry::state(*this); }
  // The table of layers, shapes and costs. ArgumentError before the model is built.
  std::string summary() const { return to_string(layer_summary()); }
  const Summary& layer_summary() const;

  void visit(Visitor& v) const;
  Flow build(Builder& b, const Flow& in);

 private:
  void build_from(Context& context, const Flow& input, DType dtype);
  void check_index(std::size_t index) const;
  [[noreturn]] void fail_type(std::size_t index, std::string_view wanted) const;

  std::vector<AnyLayer> layers_;
  std::optional<Shape> input_;
  Summary summary_;
  bool built_ = false;
};

// Layer >> layer starts a model, model >> layer goes on with it, Input >> layer gives it a shape. A Sequential on the
// right is one layer. Temporaries are moved, named layers are copied.
template <class A, class B>
requires Layer<std::remove_cvref_t<A>> && Layer<std::remove_cvref_t<B>> Sequential operator>>(A&& a, B&& b) {
  if constexpr (std::same_as<std::remove_cvref_t<A>, Sequential>) {
    Sequential model = std::forward<A>(a);
    model.append(std::forward<B>(b));
    return model;
  } else {
    Sequential model;
    model.append(std::forward<A>(a)).append(std::forward<B>(b));
    return model;
  }
}

template <class B>
requires Layer<std::remove_cvref_t<B>> Sequential operator>>(Input input, B&& b) {
  Sequential model(std::move(input));
  model.append(std::forward<B>(b));
  return model;
}

}  // namespace tapestry
