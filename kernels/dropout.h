// Random zeros.
#pragma once

#include <span>

#include "kernels/device.h"
#include "kernels/reference/dropout.h"

namespace tapestry::kernels {

// y = x / (1 - p) where an element is kept, 0 where it is dropped (Srivastava et al. 2014). Element 64 b + 16 w + l is
// kept when word w of Philox(seed, stream) at counter 16 b + l is at least p 2^32, so the choice is a function of its
// position alone; with dy as x this is the backward too, and no mask is kept.
void dropout(const Device&, const DropoutDims&, std::span<const float> x, std::span<float> y);
inline void dropout(const Device&, const DropoutDims& dims, std::span<const double> x, std::span<double> y) {
  reference::dropout(dims, x, y);
}

}  // namespace tapestry::kernels
