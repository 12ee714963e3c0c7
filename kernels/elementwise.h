// Elementwise arithmetic.
#pragma once

#include <span>

#include "kernels/device.h"
#include "kernels/reference.h"

namespace tapestry::kernels {

// y += x.
void accumulate(const Device&, std::span<const float> x, std::span<float> y);
inline void accumulate(const Device&, std::span<const double> x, std::span<double> y) { reference::accumulate(x, y); }

}  // namespace tapestry::kernels
