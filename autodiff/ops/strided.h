// Strided copies of tensors; not part of the public interface.
#pragma once

#include <algorithm>
#include <array>

#include "autodiff/record.h"
#include "kernels/copy.h"

namespace tapestry::detail {

using Strides = std::array<std::size_t, Shape::kMaxRank>;

// The strides of a contiguous tensor of this shape.
inline Strides strides_of(const Shape& shape) {
  Strides strides{};
  std::size_t stride = 1;
  for (int axis = shape.rank(); axis-- > 0; stride *= static_cast<std::size_t>(shape[axis]))
    strides[static_cast<std::size_t>(axis)] = stride;
  return strides;
}

// A walk over `shape` whose input 0 has these strides; axes that run on are one.
inline kernels::BroadcastDims strided_dims(const Shape& shape, const Strides& strides) {
  kernels::BroadcastDims dims{.rank = 0, .size = static_cast<std::size_t>(shape.size())};
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const std::size_t size = static_cast<std::size_t>(shape[axis]), stride = strides[static_cast<std::size_t>(axis)];
    if (size == 1) continue;
    if (dims.rank > 0 && dims.strides[0][dims.rank - 1] == stride * size) {
      dims.sizes[dims.rank - 1] *= size;
      dims.strides[0][dims.rank - 1] = stride;
    } else {
      dims.sizes[dims.rank] = size;
      dims.strides[0][dims.rank++] = stride;
    }
  }
  if (dims.rank == 0) dims.rank = dims.sizes[0] = dims.strides[0][0] = 1;
  return dims;
}

// y = the elements of x from `offset` on that the walk meets.
inline void gather_strided(const kernels::Device& device, const kernels::BroadcastDims& dims, const Tensor& x,
                           std::size_t offset, Tensor& y) {
  if (dims.size == 0) return;
  visit_floating("copy", y.dtype(),
                 [&]<class T>(T) { kernels::gather_strided(device, dims, x.span<T>().subspan(offset), y.span<T>()); });
}

// y[walk] = x, or += x; y from `offset` on.
inline void scatter_strided(const kernels::Device& device, const kernels::BroadcastDims& dims, const Tensor& x,
                            Tensor& y, std::size_t offset, bool accumulate) {
  if (dims.size == 0) return;
  visit_floating("copy", y.dtype(), [&]<class T>(T) {
    kernels::scatter_strided(device, dims, x.span<T>(), y.span<T>().subspan(offset), accumulate);
  });
}

}  // namespace tapestry::detail
