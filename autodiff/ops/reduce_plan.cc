#include "autodiff/ops/reduce_plan.h"

#include "kernels/copy.h"

namespace tapestry::detail {
namespace {

// Neighbouring axes of the same kind as one, axes of size 1 left out.
struct Groups {
  std::array<std::size_t, Shape::kMaxRank> sizes{};
  std::array<bool, Shape::kMaxRank> reduced{};
  std::size_t count = 0;

  Groups(const Shape& shape, const std::array<bool, Shape::kMaxRank>& wanted) {
    for (int axis = 0; axis < shape.rank(); ++axis) {
      const bool kind = wanted[static_cast<std::size_t>(axis)];
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

}  // namespace

ReducePlan::ReducePlan(const kernels::Device& device, const Tensor& x, const std::array<bool, Shape::kMaxRank>& reduced)
    : x_(x) {
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

void scale_to(const kernels::Device& device, const Tensor& x, double factor, Tensor& out) {
  visit_floating("reduce", out.dtype(), [&]<class T>(T) {
    const std::span<const double> from = x.span<double>();
    const std::span<T> to = out.span<T>();
    parallel_for(device.pool, to.size(), kernels::kGrain, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) to[i] = static_cast<T>(factor * from[i]);
    });
  });
}

}  // namespace tapestry::detail
