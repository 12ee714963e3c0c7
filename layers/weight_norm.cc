#include "layers/weight_norm.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "autodiff/ops/elementwise.h"
#include "autodiff/ops/pointwise.h"
#include "autodiff/ops/reduce.h"
#include "autodiff/ops/reshape.h"
#include "kernels/error.h"

namespace tapestry::detail {
namespace {

bool among(const Axes& axes, int axis) { return std::ranges::find(axes, axis) != axes.end(); }

// The sizes of the axes that `wanted` holds for, in order.
template <class Wanted>
Shape sizes_of(const Shape& shape, const Wanted& wanted) {
  std::array<std::int64_t, Shape::kMaxRank> sizes{};
  std::size_t count = 0;
  for (int axis = 0; axis < shape.rank(); ++axis)
    if (wanted(axis)) sizes[count++] = shape[axis];
  return Shape(std::span<const std::int64_t>(sizes.data(), count));
}

Shape beside_shape(const Shape& weight, const Axes& axes) {
  if (axes.count() == 0) return {};
  Shape shape = weight;
  for (int axis = 0; axis < weight.rank(); ++axis)
    if (!among(axes, axis)) shape = shape.with(axis, 1);
  return shape;
}

}  // namespace

Axes ascending(std::string_view layer, const Shape& weight, const Axes& axes, const Location& where) {
  Axes found;
  std::array<bool, Shape::kMaxRank> given{};
  for (int axis : axes) {
    if (axis < -weight.rank() || axis >= weight.rank())
      fail<ShapeError>(where, layer, fmt::format("the weight {} has no axis {}", to_string(weight), axis));
    if (std::exchange(given[static_cast<std::size_t>(weight.axis(axis))], true))
      fail<ArgumentError>(where, layer, fmt::format("axis {} is given twice", axis));
  }
  for (int axis = 0; axis < weight.rank(); ++axis)
    if (given[static_cast<std::size_t>(axis)]) found.add(axis);
  return found;
}

void build_beside(Builder& b, Parameter& parameter, const Initializer& initializer, const Parameter& weight,
                  const Axes& axes) {
  const Cell& cell = *weight.cell();
  b.parameter(parameter, beside_shape(weight.shape(), axes), initializer,
              {.layout = axes.count() == 0 ? FileLayout::as_is : cell.layout,
               .flattened = among(axes, 0) ? cell.flattened : Shape{}});
}

Var beside(const Parameter& parameter, const Var& x, const Shape& weight, const Axes& axes, std::string_view layer,
           const Location& where) {
  require_built(parameter, layer, where);
  return reshape(parameter.on(x), sizes_of(weight, [&](int axis) { return among(axes, axis); }), where);
}

Tensor lengths(const Context& context, const Tensor& weight, const Axes& axes, double epsilon) {
  const Var w = context.input(weight.to(DType::float64));
  Axes others;
  for (int axis = 0; axis < weight.rank(); ++axis)
    if (!among(axes, axis)) others.add(axis);
  const Var squares = others.count() == 0 ? w * w : sum(w * w, {.axes = others});
  return sqrt(squares + epsilon).value().reshape(beside_shape(weight.shape(), axes)).to(weight.dtype());
}

void build_vectors(Builder& b, Buffer& u, Buffer& v, const Parameter& weight, const SpectralNormOptions& options) {
  const int axis = *ascending("SpectralNorm", weight.shape(), options.out_axis, options.where).begin();
  const Shape rows = sizes_of(weight.shape(), [&](int other) { return other != axis; });
  const Shape& flattened = weight.cell()->flattened;  // axis 0 of what follows a Flatten
  const bool fresh = !u.built();
  b.buffer(u, {weight.shape()[axis]}, Normal{}, axis == 0 ? flattened : Shape{});
  b.buffer(v, {rows.size()}, 0, b.dtype(), rows.rank() > 1 ? rows : axis == 0 ? Shape{} : flattened);
  SpectralNormOptions start = options;
  start.power_iterations = std::max(options.power_iterations, options.power_iterations > 0 ? 15 : 0);
  const SpectralVectors first = spectral_vectors(b.context().input(weight.value()), u.value(), start);
  const double length = sum(abs(b.context().input(first.u))).item();
  if (!fresh || !(length > 0) || !std::isfinite(length)) return;  // a weight of zeros leaves the numbers of the seed
  u.assign(first.u);
  v.assign(first.v);
}

}  // namespace tapestry::detail
