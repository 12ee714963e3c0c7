// Images of another size: interpolation, and borders that repeat what lies inside.
#pragma once

#include <span>

#include "kernels/device.h"
#include "kernels/reference/resize.h"

namespace tapestry::kernels {

// y[n, p, c] = the sum of weight x[n, q, c] over the positions q, one or two an axis, that `kind` finds for p. No axis
// of x is empty unless y is; reflect and circular paddings are shorter than x, or as long for circular.
void resize_forward(const Device&, const ResizeDims&, std::span<const float> x, std::span<float> y);
inline void resize_forward(const Device&, const ResizeDims& dims, std::span<const double> x, std::span<double> y) {
  if (!y.empty()) reference::resize_forward(dims, x, y);
}

// dx[n, q, c] = the sum of weight dy[n, p, c] over the positions p that read q; every element is written once.
void resize_backward(const Device&, const ResizeDims&, std::span<const float> dy, std::span<float> dx);
inline void resize_backward(const Device&, const ResizeDims& dims, std::span<const double> dy, std::span<double> dx) {
  if (!dx.empty()) reference::resize_backward(dims, dy, dx);
}

}  // namespace tapestry::kernels
