// Reductions.
#pragma once

#include <span>

#include "kernels/device.h"
#include "kernels/reference.h"

namespace tapestry::kernels {

// Whether no element is a NaN or an infinity.
bool all_finite(const Device&, std::span<const float> x);
inline bool all_finite(const Device&, std::span<const double> x) { return reference::all_finite(x); }

}  // namespace tapestry::kernels
