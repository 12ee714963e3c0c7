#include "autodiff/ops/broadcast.h"

#include <algorithm>

#include "autodiff/ops/reduce_plan.h"

namespace tapestry::detail {

using kernels::BroadcastDims;

BroadcastDims broadcast_dims(const Shape& y, std::initializer_list<const Shape*> inputs) {
  BroadcastDims dims;
  dims.size = static_cast<std::size_t>(y.size());
  dims.rank = 0;
  std::array<std::size_t, BroadcastDims::kMaxInputs> running{1, 1, 1};
  // Innermost first; turned around at the end.
  for (int axis = 1; axis <= y.rank(); ++axis) {
    const std::size_t size = static_cast<std::size_t>(y[-axis]);
    if (size == 1) continue;
    std::array<std::size_t, BroadcastDims::kMaxInputs> stride{};
    std::size_t k = 0;
    for (const Shape* shape : inputs) {
      if (axis <= shape->rank() && (*shape)[-axis] != 1) {
        stride[k] = running[k];
        running[k] *= size;
      }
      ++k;
    }
    bool merges = dims.rank > 0;
    for (k = 0; k < inputs.size() && merges; ++k)
      merges = stride[k] == dims.strides[k][dims.rank - 1] * dims.sizes[dims.rank - 1];
    if (merges) {
      dims.sizes[dims.rank - 1] *= size;
      continue;
    }
    for (k = 0; k < inputs.size(); ++k) dims.strides[k][dims.rank] = stride[k];
    dims.sizes[dims.rank++] = size;
  }
  if (dims.rank == 0) {
    dims.rank = 1;
    dims.sizes[0] = 1;
    return dims;
  }
  std::reverse(dims.sizes.begin(), dims.sizes.begin() + static_cast<std::ptrdiff_t>(dims.rank));
  for (auto& strides : dims.strides)
    std::reverse(strides.begin(), strides.begin() + static_cast<std::ptrdiff_t>(dims.rank));
  return dims;
}

Shape broadcast_shape(std::string_view op, const Shape& a, const Shape& b, const Location& where) {
  try {
    return broadcast(a, b);
  } catch (const ShapeError& error) {
    fail<ShapeError>(where, op, error.what());
  }
}

void elementwise(const kernels::Device& device, kernels::ElementwiseOp op, const Tensor& a, const Tensor& b,
                 Tensor& y) {
  const BroadcastDims dims = broadcast_dims(y.shape(), {&a.shape(), &b.shape()});
  visit_floating("elementwise", y.dtype(), [&]<class T>(T) {
    kernels::elementwise(device, dims, op, a.span<T>(), b.span<T>(), std::span<const T>(), y.span<T>());
  });
}

void elementwise(const kernels::Device& device, kernels::ElementwiseOp op, const Tensor& a, const Tensor& b,
                 const Tensor& c, Tensor& y) {
  const BroadcastDims dims = broadcast_dims(y.shape(), {&a.shape(), &b.shape(), &c.shape()});
  visit_floating("elementwise", y.dtype(), [&]<class T>(T) {
    kernels::elementwise(device, dims, op, a.span<T>(), b.span<T>(), c.span<T>(), y.span<T>());
  });
}

void sum_to(const kernels::Device& device, const Tensor& x, Tensor& out) {
  Axes reduced;
  for (int axis = 1; axis <= x.rank(); ++axis)
    if (axis > out.rank() || (out.shape()[-axis] == 1 && x.shape()[-axis] != 1)) reduced.add(x.rank() - axis);
  const ReducePlan plan(device, x, reduced);
  plan.sum(device, kernels::Term::value, {}, 1, out);
}

Tensor scalar_like(const Tensor& like, double value) {
  Tensor scalar = like.like(Shape{});
  scalar.fill(value);
  return scalar;
}

void give_gradient(const kernels::Device& device, GradSlots grads, int i, const Shape& shape, const Tensor& dy) {
  if (!grads.wants(i)) return;
  if (shape == dy.shape()) return grads.pass(i, dy);
  Tensor gradient = grads.overwrite(i);
  sum_to(device, dy, gradient);
}

}  // namespace tapestry::detail
