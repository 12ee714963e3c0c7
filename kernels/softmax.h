// Softmax and its logarithm along one axis.
#pragma once

#include <span>

#include "kernels/device.h"
#include "kernels/reference/softmax.h"

namespace tapestry::kernels {

// y = exp(x - max) / sum exp(x - max) along the axis, or y = x - max - log sum exp(x - max) when dims.log is set.
// No finite x overflows; where a line holds a NaN or +inf, or -inf only, all of it becomes NaN.
void softmax_forward(const Device&, const SoftmaxDims&, std::span<const float> x, std::span<float> y);
inline void softmax_forward(const Device&, const SoftmaxDims& dims, std::span<const double> x, std::span<double> y) {
  reference::softmax_forward(dims, x, y);
}

// From y: dx = y (dy - sum dy y), or dx = dy - exp(y) sum dy for the logarithm.
void softmax_backward(const Device&, const SoftmaxDims&, std::span<const float> y, std::span<const float> dy,
                      std::span<float> dx);
inline void softmax_backward(const Device&, const SoftmaxDims& dims, std::span<const double> y,
                             std::span<const double> dy, std::span<double> dx) {
  reference::softmax_backward(dims, y, dy, dx);
}

}  // namespace tapestry::kernels
