// Local response normalization along rows (Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep
// convolutional neural networks", 2012).
#pragma once

#include <span>

#include "kernels/device.h"
#include "kernels/reference/local_response.h"

namespace tapestry::kernels {

// y_i = x_i s_i^-beta with s_i = k + scale * the sum of x_j^2 over the j in [i - before, i + after] of the row, in
// double, so that no square of a float overflows. A NaN spoils the rows' elements whose window it is in, no others.
void local_response_forward(const Device&, const LocalResponseDims&, std::span<const float> x, std::span<float> y);
inline void local_response_forward(const Device&, const LocalResponseDims& dims, std::span<const double> x,
                                   std::span<double> y) {
  reference::local_response_forward(dims, x, y);
}

// dx_i = dy_i s_i^-beta - 2 scale beta x_i * the sum of dy_j x_j s_j^(-beta - 1) over the j whose window i is in. Needs
// x alone. An empty dx is skipped.
void local_response_backward(const Device&, const LocalResponseDims&, std::span<const float> x,
                             std::span<const float> dy, std::span<float> dx);
inline void local_response_backward(const Device&, const LocalResponseDims& dims, std::span<const double> x,
                                    std::span<const double> dy, std::span<double> dx) {
  reference::local_response_backward(dims, x, dy, dx);
}

}  // namespace tapestry::kernels
