// The smallest and the largest element.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/device.h"
#include "kernels/reference/extreme.h"

namespace tapestry::kernels {

// y [outer, inner] = the extreme over the middle axis, which is not empty, of x [outer, size, inner]; NaN if one is
// NaN.
void extremes(const Device&, const ReduceDims&, Extreme, std::span<const float> x, std::span<float> y);
inline void extremes(const Device&, const ReduceDims& dims, Extreme which, std::span<const double> x,
                     std::span<double> y) {
  reference::extremes(dims, which, x, y);
}

// y [outer, inner] = the index along the middle axis of the first extreme element, or of the first NaN.
void arg_extremes(const Device&, const ReduceDims&, Extreme, std::span<const float> x, std::span<std::int64_t> y);
inline void arg_extremes(const Device&, const ReduceDims& dims, Extreme which, std::span<const double> x,
                         std::span<std::int64_t> y) {
  reference::arg_extremes(dims, which, x, y);
}

}  // namespace tapestry::kernels
