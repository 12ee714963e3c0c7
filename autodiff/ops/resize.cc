#include "autodiff/ops/resize.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "autodiff/cost.h"
#include "autodiff/ops/shape.h"
#include "autodiff/ops/strided.h"
#include "kernels/error.h"
#include "kernels/resize.h"

namespace tapestry {

template <class T>
PerAxis<T>::PerAxis(std::initializer_list<T> values) {
  if (values.size() > values_.size())
    throw ShapeError(fmt::format("sizes: at most {} spatial axes, got {}", values_.size(), values.size()));
  for (T value : values) values_[static_cast<std::size_t>(count_++)] = value;
}
template class PerAxis<std::int64_t>;
template class PerAxis<double>;

namespace {

using kernels::ResizeDims;
using kernels::ResizeKind;

constexpr OpInfo kInterpolate("interpolate", elementwise_cost<Saved::nothing>);

constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();

// The place of spatial axis `axis` of `rank` among the three of the kernels.
std::size_t place(int axis, int rank) { return static_cast<std::size_t>(axis + 3 - rank); }

ResizeDims dims_of(ResizeKind kind, const Shape& x, const Shape& y) {
  ResizeDims dims{.kind = kind, .batch = static_cast<std::size_t>(x[0]), .channels = static_cast<std::size_t>(x[-1])};
  for (int axis = 0; axis < x.rank() - 2; ++axis) {
    dims.in[place(axis, x.rank() - 2)] = static_cast<std::size_t>(x[axis + 1]);
    dims.out[place(axis, x.rank() - 2)] = static_cast<std::size_t>(y[axis + 1]);
  }
  return dims;
}

Var resize(const OpInfo& op, const Var& x, const Shape& shape, const ResizeDims& dims, const CallOptions& options) {
  const kernels::Device& device = x.device();
  Tensor y = x.value().like(shape);
  visit_floating(op.name, x.dtype(),
                 [&]<class T>(T) { kernels::resize_forward(device, dims, x.value().span<T>(), y.span<T>()); });
  return record(op, y, {x}, options, [&device, op, dims](const Tensor& dy, GradSlots grads) {
    Tensor dx = grads.overwrite(0);
    if (!dx) return;
    visit_floating(op.name, dy.dtype(),
                   [&]<class T>(T) { kernels::resize_backward(device, dims, dy.span<T>(), dx.span<T>()); });
  });
}

// How many positions there are of axis `axis` when it had `in`.
std::int64_t output_size(const InterpolateOptions& options, int axis, std::int64_t in) {
  if (options.size.count() > 0) {
    const std::int64_t size = options.size[axis];
    if (size < 1 || size > kMost)
      fail<ArgumentError>(options.where, kInterpolate.name,
                          fmt::format("size must be in [1, {}]; it is {}", kMost, size));
    return size;
  }
  const double scale = options.scale_factor[axis], size = std::floor(static_cast<double>(in) * scale);
  if (!(scale > 0) || !(size >= 1 && size <= static_cast<double>(kMost)))
    fail<ArgumentError>(options.where, kInterpolate.name,
                        fmt::format("scale_factor {} of {} positions leaves no size in [1, {}]", scale, in, kMost));
  return static_cast<std::int64_t>(size);
}

}  // namespace

Shape interpolated_shape(const Shape& x, const InterpolateOptions& options) {
  const auto refuse = [&](const std::string& rule) { fail<ArgumentError>(options.where, kInterpolate.name, rule); };
  const int rank = x.rank() - 2, given = options.size.count() + options.scale_factor.count();
  if (rank < 1 || rank > 3)
    fail<ShapeError>(options.where, kInterpolate.name,
                     fmt::format("x must be [N, ..., C] with one to three spatial axes; it is {}", to_string(x)));
  if ((options.size.count() > 0) == (options.scale_factor.count() > 0)) refuse("needs either a size or a scale_factor");
  if (given != 1 && given != rank)
    refuse(fmt::format("needs one number, or one for each spatial axis of {}; got {}", to_string(x), given));
  if (options.align_corners && options.mode == Interpolation::nearest) refuse("align_corners is for linear alone");
  std::array<std::int64_t, 5> sizes{x[0]};
  for (int axis = 0; axis < rank; ++axis) {
    const std::int64_t in = x[axis + 1];
    if (in < 1 || in > kMost)
      fail<ShapeError>(options.where, kInterpolate.name,
                       fmt::format("x {} needs 1 to {} positions along each axis", to_string(x), kMost));
    sizes[static_cast<std::size_t>(axis) + 1] = output_size(options, axis, in);
  }
  sizes[static_cast<std::size_t>(rank) + 1] = x[-1];
  try {
    return Shape(std::span(sizes).first(static_cast<std::size_t>(rank) + 2));
  } catch (const ShapeError& error) {
    fail<ShapeError>(options.where, kInterpolate.name, error.what());
  }
}

Var interpolate(const Var& x, const InterpolateOptions& options) {
  if (!x.value()) fail<ArgumentError>(options.where, kInterpolate.name, "the input holds nothing");
  const Shape y = interpolated_shape(x.shape(), options);
  ResizeDims dims = dims_of(options.mode == Interpolation::nearest ? ResizeKind::nearest
                            : options.align_corners                ? ResizeKind::linear_corners
                                                                   : ResizeKind::linear,
                            x.shape(), y);
  const int rank = y.rank() - 2;
  for (int axis = 0; axis < rank && options.scale_factor.count() > 0; ++axis)
    dims.scale[place(axis, rank)] = options.scale_factor[axis];
  return resize(kInterpolate, x, y, dims, options);
}

Var detail::pad_repeating(const OpInfo& op, const Var& x, const PadOptions& options) {
  const Shape y = padded_shape(x.shape(), options);
  const ResizeKind kind = options.mode == PadMode::reflect     ? ResizeKind::reflect
                          : options.mode == PadMode::replicate ? ResizeKind::replicate
                                                               : ResizeKind::circular;
  ResizeDims dims = dims_of(kind, x.shape(), y);
  for (int axis = 1; axis + 1 < y.rank() && options.before.count() > 0; ++axis)
    dims.before[place(axis - 1, y.rank() - 2)] = static_cast<std::size_t>(options.before[axis]);
  return resize(op, x, y, dims, options);
}

}  // namespace tapestry
