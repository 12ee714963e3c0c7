// The most multiply-adds that a target can do: what benchmarks measure kernels by.
#pragma once

#include <span>

#include "kernels/device.h"

namespace tapestry::kernels {

// y = a y + b, `rounds` times over: two operations a round and element, in registers. Runs at the peak of the CPU where
// y has a multiple of 192 elements for each thread.
void iterate_affine(const Device&, std::size_t rounds, float a, float b, std::span<float> y);

}  // namespace tapestry::kernels
