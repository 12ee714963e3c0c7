// Plain memory movement, for T = float, double and int64.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/device.h"
#include "kernels/dims.h"
#include "kernels/reference.h"

namespace tapestry::kernels {

// y, contiguous, from x with any strides on each axis (input 0 of `dims`): transposes, and axes that are stretched.
template <class T>
void gather_strided(const Device&, const BroadcastDims&, std::span<const T> x, std::span<T> y);

}  // namespace tapestry::kernels
