#include "layers/weight_norm.h"

#include <algorithm>
#include <cmath>

#include "autodiff/ops/elementwise.h"
#include "autodiff/ops/norm_operands.h"
#include "autodiff/ops/pointwise.h"
#include "autodiff/ops/reduce.h"
#include "autodiff/ops/reshape.h"

namespace tapestry::detail {
namespace {

Shape beside_shape(const Shape& weight, const Axes& axes) {
  if (axes.count() == 0) return {};
  return with_ones(weight, other_axes(weight.rank(), axes));
}

}  // namespace

void build_beside(Builder& b, Parameter& parameter, const Initializer& initializer, const Parameter& weight,
                  const Axes& axes) {
  const Cell& cell = *weight.cell();
  b.parameter(parameter, beside_shape(weight.shape(), axes), initializer,
              {.layout = axes.count() == 0 ? FileLayout::as_is : cell.layout,
               .flattened = axes.contains(0) ? cell.flattened : Shape{}});
}

Var beside(const Parameter& parameter, const Var& x, const Shape& weight, const Axes& axes, const char* layer,
           const Location& where) {
  require_built(parameter, layer, where);
  return reshape(parameter.on(x), sizes_of(weight, axes), where);
}

Tensor lengths(const Context& context, const Tensor& weight, const Axes& axes, double epsilon) {
  const Var w = context.input(weight.to(DType::float64));
  const Axes others = other_axes(weight.rank(), axes);
  const Var squares = others.count() == 0 ? w * w : sum(w * w, {.axes = others});
  return sqrt(squares + epsilon).value().reshape(beside_shape(weight.shape(), axes)).to(weight.dtype());
}

void build_vectors(Builder& b, Buffer& u, Buffer& v, const Parameter& weight, const SpectralNormOptions& options) {
  const Axes outputs = rising_axes("SpectralNorm", "out_axis", options.out_axis, weight.shape(), options.where);
  const int axis = outputs[0];
  const Shape rows = sizes_of(weight.shape(), other_axes(weight.shape().rank(), outputs));
  const Shape& flattened = weight.cell()->flattened;  // axis 0 of what follows a Flatten
  const bool fresh = !u.built();
  b.buffer(u, {weight.shape()[axis]}, Normal{}, axis == 0 ? flattened : Shape{});
  b.buffer(v, {rows.size()}, 0, b.dtype(), rows.rank() > 1 ? rows : axis == 0 ? Shape{} : flattened);
  SpectralNormOptions start = options;
  // As many as torch.nn.utils.parametrizations.spectral_norm starts with.
  start.power_iterations = std::max(options.power_iterations, options.power_iterations > 0 ? 15 : 0);
  const SpectralVectors first = spectral_vectors(b.context().input(weight.value()), u.value(), start);
  const double length = sum(abs(b.context().input(first.u))).item();
  if (!fresh || !(length > 0) || !std::isfinite(length)) return;  // a weight of zeros leaves the numbers of the seed
  u.assign(first.u);
  v.assign(first.v);
}

}  // namespace tapestry::detail
