// Elementwise arithmetic with broadcasting.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/device.h"
#include "kernels/reference/elementwise.h"

namespace tapestry::kernels {

// y = op(a, b) or op(a, b, c), see ElementwiseOp; inputs are read as `dims` says, y is contiguous. Nothing may overlap
// but y and an input of the same layout.
void elementwise(const Device&, const BroadcastDims&, ElementwiseOp, std::span<const float> a, std::span<const float> b,
                 std::span<const float> c, std::span<float> y);
inline void elementwise(const Device&, const BroadcastDims& dims, ElementwiseOp op, std::span<const double> a,
                        std::span<const double> b, std::span<const double> c, std::span<double> y) {
  reference::elementwise(dims, op, a, b, c, y);
}

// y = 1 where the comparison holds, else 0; a NaN is not equal to anything, and neither less nor greater.
void compare(const Device&, const BroadcastDims&, CompareOp, std::span<const float> a, std::span<const float> b,
             std::span<std::int64_t> y);
inline void compare(const Device&, const BroadcastDims& dims, CompareOp op, std::span<const double> a,
                    std::span<const double> b, std::span<std::int64_t> y) {
  reference::compare(dims, op, a, b, y, 0, dims.size);
}

// y += x.
void accumulate(const Device&, std::span<const float> x, std::span<float> y);
inline void accumulate(const Device&, std::span<const double> x, std::span<double> y) { reference::accumulate(x, y); }

}  // namespace tapestry::kernels
