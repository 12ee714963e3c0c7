#include "kernels/resize.h"

#include "kernels/joins.h"

namespace tapestry::kernels {
namespace {

AxisJoins resize_axis(Arena& arena, const ResizeDims& dims, std::size_t axis) {
  return {arena, dims.out[axis], dims.in[axis], [&](std::size_t p, const auto& emit) {
            reference::for_resize_axis(dims, axis, p, [&](std::size_t q, double weight) { emit(Join{q, 0, weight}); });
          }};
}

// From the positions of y to those of x.
Joins resize_joins(Arena& arena, const ResizeDims& dims) {
  return {dims.batch,
          dims.channels,
          {1, 1, 1},
          {resize_axis(arena, dims, 0), resize_axis(arena, dims, 1), resize_axis(arena, dims, 2)}};
}

}  // namespace

void resize_forward(const Device& device, const ResizeDims& dims, std::span<const float> x, std::span<float> y) {
  if (!y.empty()) weigh_joins(device, resize_joins(device.arena, dims), x, y);
}

void resize_backward(const Device& device, const ResizeDims& dims, std::span<const float> dy, std::span<float> dx) {
  if (!dx.empty()) weigh_joins(device, resize_joins(device.arena, dims).transposed(device.arena), dy, dx);
}

}  // namespace tapestry::kernels
