// Pooling of channels-last images in one to three dimensions. No two windows share a write: each position of y gathers
// from x, and each of dx gathers from dy.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/device.h"
#include "kernels/reference/pool.h"

namespace tapestry::kernels {

// y[n, p, c] = the largest x of window p, NaN if one is NaN, -inf where nothing of the window lies inside. argmax has
// the tap that it came from: the first of equal ones, the last NaN. An empty argmax is skipped. Index is uint8_t, or
// int32_t for windows of more than 256 taps.
template <class Index>
void max_pool_forward(const Device&, const PoolDims&, std::span<const float> x, std::span<float> y,
                      std::span<Index> argmax);
template <class Index>
void max_pool_forward(const Device&, const PoolDims& dims, std::span<const double> x, std::span<double> y,
                      std::span<Index> argmax) {
  if (!y.empty()) reference::max_pool_forward(dims, x, y, argmax);
}

// dx[n, q, c] = the sum of dy[n, p, c] over the windows p whose largest element is q's; every element is written once.
template <class Index>
void max_pool_backward(const Device&, const PoolDims&, std::span<const Index> argmax, std::span<const float> dy,
                       std::span<float> dx);
template <class Index>
void max_pool_backward(const Device&, const PoolDims& dims, std::span<const Index> argmax, std::span<const double> dy,
                       std::span<double> dx) {
  if (!dx.empty()) reference::max_pool_backward(dims, argmax, dy, dx);
}

// y[n, p, c] = the sum of x over window p, divided by what `count_include_pad` and `divisor` say.
void avg_pool_forward(const Device&, const PoolDims&, std::span<const float> x, std::span<float> y);
inline void avg_pool_forward(const Device&, const PoolDims& dims, std::span<const double> x, std::span<double> y) {
  if (!y.empty()) reference::avg_pool_forward(dims, x, y);
}
void avg_pool_backward(const Device&, const PoolDims&, std::span<const float> dy, std::span<float> dx);
inline void avg_pool_backward(const Device&, const PoolDims& dims, std::span<const double> dy, std::span<double> dx) {
  if (!dx.empty()) reference::avg_pool_backward(dims, dy, dx);
}

}  // namespace tapestry::kernels
