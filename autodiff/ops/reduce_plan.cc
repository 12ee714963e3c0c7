#include "autodiff/ops/reduce_plan.h"

#include <fmt/format.h>

#include "kernels/copy.h"
#include "kernels/error.h"

namespace tapestry::detail {
namespace {

// Neighbouring axes of the same kind as one, axes of size 1 left out.
struct Groups {
  std::array<std::size_t, Shape::kMaxRank> sizes{};
  std::array<bool, Shape::kMaxRank> reduced{};
  std::size_t count = 0;

  Groups(const Shape& shape, const Axes& wanted) {
    for (int axis = 0; axis < shape.rank(); ++axis) {
      const bool kind = wanted.contains(axis);
      const std::size_t size = static_cast<std::size_t>(shape[axis]);
      if (size == 1) continue;
      if (count > 0 && reduced[count - 1] == kind) {
        sizes[count - 1] *= size;
      } else {
        sizes[count] = size;
        reduced[count++] = kind;
      }
    }
  }
};

// x with the reduced groups moved to the end.
Tensor reduced_last(const kernels::Device& device, const Tensor& x, const Groups& groups) {
  kernels::BroadcastDims dims{.rank = groups.count, .size = static_cast<std::size_t>(x.size())};
  std::size_t axis = 0;
  for (bool kind : {false, true})
    for (std::size_t i = 0; i < groups.count; ++i) {
      if (groups.reduced[i] != kind) continue;
      dims.sizes[axis] = groups.sizes[i];
      dims.strides[0][axis] = 1;
      for (std::size_t j = i + 1; j < groups.count; ++j) dims.strides[0][axis] *= groups.sizes[j];
      ++axis;
    }
  Tensor y = x.like();
  visit_floating("reduce", x.dtype(),
                 [&]<class T>(T) { kernels::gather_strided(device, dims, x.span<T>(), y.span<T>()); });
  return y;
}

// Which axes of x go.
Axes axes_that_go(const char* op, const Var& x, const Axes& axes, const Location& where) {
  if (!x.value()) fail<ArgumentError>(where, op, "the input holds nothing");
  if (x.dtype() == DType::int64) fail<ArgumentError>(where, op, "needs float32 or float64, got int64");
  const int rank = x.shape().rank();
  return axes.count() == 0 ? last_axes(rank, rank) : checked_axes(op, x.shape(), axes, where);
}

}  // namespace

Reduced::Reduced(const char* op, const Var& x, const Axes& axes, bool keepdim, const Location& where)
    : Reduced(x, axes_that_go(op, x, axes, where), keepdim) {}

Reduced::Reduced(const Var& x, const Axes& reduced, bool keepdim)
    : kept(with_ones(x.shape(), reduced)),
      y(keepdim ? kept : sizes_of(x.shape(), other_axes(x.shape().rank(), reduced))),
      plan(x.device(), x.value(), reduced) {}

void need_elements(const char* op, const Reduced& reduced, const Var& x, int least, const Location& where) {
  const std::size_t size = reduced.plan.dims().size;
  if (size == 0) fail<ShapeError>(where, op, fmt::format("there is nothing to reduce in {}", to_string(x.shape())));
  if (size < static_cast<std::size_t>(least))
    fail<ShapeError>(
        where, op,
        fmt::format("each result needs at least {} elements and has {}; x is {}", least, size, to_string(x.shape())));
}

ReducePlan::ReducePlan(const kernels::Device& device, const Tensor& x, const Axes& reduced) : x_(x) {
  const Groups groups(x.shape(), reduced);
  for (std::size_t i = 0; i < groups.count; ++i) (groups.reduced[i] ? dims_.size : dims_.outer) *= groups.sizes[i];
  const std::size_t first = groups.count > 0 && groups.reduced[0] ? 0 : 1;  // the first reduced group
  if (groups.count > first + 2) {
    x_ = reduced_last(device, x, groups);
  } else if (groups.count == first + 2) {
    dims_.inner = groups.sizes[first + 1];
    dims_.outer = first == 0 ? 1 : groups.sizes[0];
  }
}

Tensor ReducePlan::sums(const kernels::Device& device, kernels::Term term, const Tensor& center) const {
  Tensor sums = x_.like(Shape{static_cast<std::int64_t>(dims_.outer * dims_.inner)}, DType::float64);
  visit_floating("reduce", x_.dtype(), [&]<class T>(T) {
    kernels::reduce(device, dims_, term, x_.span<T>(), center.span<double>(), sums.span<double>());
  });
  return sums;
}

void ReducePlan::sum(const kernels::Device& device, kernels::Term term, const Tensor& center, double factor,
                     Tensor& out) const {
  scale_to(device, sums(device, term, center), factor, out);
}

void ReducePlan::extremes(const kernels::Device& device, kernels::Extreme which, Tensor& out) const {
  visit_floating("reduce", x_.dtype(),
                 [&]<class T>(T) { kernels::extremes(device, dims_, which, x_.span<T>(), out.span<T>()); });
}

void scale_to(const kernels::Device& device, const Tensor& x, double factor, Tensor& out) {
  visit_floating("reduce", out.dtype(), [&]<class T>(T) {
    const std::span<const double> from = x.span<double>();
    const std::span<T> to = out.span<T>();
    for_results(device, to.size(), [&](std::size_t i) { to[i] = static_cast<T>(factor * from[i]); });
  });
}

}  // namespace tapestry::detail
