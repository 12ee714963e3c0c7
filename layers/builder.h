// Building: sizes flow through the model, every parameter gets its shape and first numbers, and all parameters are laid
// into one block.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "autodiff/context.h"
#include "layers/init.h"
#include "layers/state.h"
#include "layers/summary.h"
#include "layers/visitor.h"

namespace tapestry {

namespace detail {
// What to do with a model whose parameters all have numbers already.
enum class WhenBuilt { refuse, extend };
Summary build_model(Context& context, const LayerRef& model, const Flow& input, DType dtype, WhenBuilt when_built);
}  // namespace detail

struct ParameterOptions {
  std::optional<Fans> fans = std::nullopt;  // nothing: those of its own shape
  FileLayout layout = FileLayout::as_is;
  Shape flattened = {};  // in.flattened where axis 0 runs along the input's last axis: files keep PyTorch's order
};

// What a layer's build sees:
//   Flow build(Builder& b, const Flow& in) {
//     const std::int64_t features = b.size("in", options.in, in, -1, options.where);
//     b.parameter(weight, {features, options.out}, options.weight_init);
//     return b.replace(in, -1, options.out);
//   }
// A layer without build is taken as the chain of the layers that it visits; then one call on a zero sample finds its
// output shape, and proves the chain.
class Builder {
 public:
  Builder(Context& context, DType dtype) : context_(context), dtype_(dtype) {}

  Context& context() const { return context_; }
  DType dtype() const { return dtype_; }

  // Declares a parameter: a tensor of `shape` with numbers from f(seed, its number in visit order). One that has
  // numbers already keeps them. ShapeError when they have another shape, ArgumentError when visit() does not name it.
  void parameter(Parameter& parameter, const Shape& shape, const Initializer& initializer,
                 const ParameterOptions& options = {});
  // The same for a buffer; random numbers are not those of any parameter.
  void buffer(Buffer& buffer, const Shape& shape, const Initializer& initializer, const Shape& flattened = {}) {
    this->buffer(buffer, shape, initializer, dtype_, flattened);
  }
  void buffer(Buffer& buffer, const Shape& shape, const Initializer& initializer, DType dtype,
              const Shape& flattened = {});

  // Builds a nested layer, and returns what flows out of it. ArgumentError when visit() does not name it.
  template <class L>
  Flow operator()(L& layer, const Flow& in) {
    return nested(detail::LayerRef(layer), in);
  }

  // The size of `axis` of `in`; `given` is what the user said (0: nothing). ShapeError when both disagree or neither is
  // known, or when `in` has no such axis.
  std::int64_t size(std::string_view option, std::int64_t given, const Flow& in, int axis, const Location& where) const;
  // `in` with another size of `axis`; unknown stays unknown.
  static Flow replace(const Flow& in, int axis, std::int64_t size);

 private:
  friend Summary detail::build_model(Context&, const detail::LayerRef&, const Flow&, DType, detail::WhenBuilt);
  friend Flow detail::build_chain(Builder&, const detail::LayerRef&, const Flow&);
  class Namer;
  struct NamedLayer {
    detail::LayerRef layer;
    std::string path;
  };

  Flow nested(const detail::LayerRef& layer, const Flow& in);
  Flow chain(const detail::LayerRef& layer, const Flow& in);
  void declare(detail::Cell& cell, const Shape& shape, DType dtype, const std::function<Tensor()>& first);
  void require_declared() const;
  [[noreturn]] void fail_unnamed(std::string_view what) const;

  Context& context_;
  DType dtype_;
  std::vector<NamedLayer> layers_;
  ParameterList parameters_, buffers_;  // in visit order
  std::vector<detail::Cell*> fresh_;    // those that get their first numbers now
  Summary summary_;
  std::string building_;  // the layer whose build() runs
};

// Builds any layer or struct with visit: gives it names, shapes and numbers, and lays its parameters into one block and
// its buffers into another. Layers that were built before keep their numbers. Shapes have no batch axis.
// ShapeError, with the layer's path and line, where sizes do not fit; ArgumentError when everything was built before,
// or when a parameter was not declared. After an error the model is not built.
template <class L>
Summary build(Context& context, L& model, const Flow& input = {}, DType dtype = DType::float32) {
  return detail::build_model(context, detail::LayerRef(model), input, dtype, detail::WhenBuilt::refuse);
}

}  // namespace tapestry
