// What the machine can do at most: multiply-adds in registers, and plain passes over memory. Profiles and benchmarks
// measure kernels by it.
#pragma once

#include <span>

#include "kernels/device.h"

namespace tapestry::kernels {

// What multiplies: "fma", or a matrix unit.
const char* unit_name(const Device&);

// Multiplies blocks that stay in L1 on the device's unit of tiles, `rounds` times on each thread. Returns the
// operations of these products in floats, two a multiply-add; 0 where there is no such unit.
double tile_rounds(const Device&, std::size_t rounds);

// y = a y + b, `rounds` times over: two operations a round and element, in registers. Runs at the peak of the CPU where
// y has a multiple of 192 elements for each thread.
void iterate_affine(const Device&, std::size_t rounds, float a, float b, std::span<float> y);

// The loops below take pieces of at most `piece` elements, each one `rounds` times over before the next, each on one
// thread: what stays in a cache from round to round is `piece`.

// sums[i] = rounds * the sum of x's piece i; x is read, nothing is written. Sums are of one float for each piece.
void read_rounds(const Device&, std::size_t rounds, std::size_t piece, std::span<const float> x, std::span<float> sums);

// y = a; y is written, nothing is read.
void write_rounds(const Device&, std::size_t rounds, std::size_t piece, float a, std::span<float> y);

// y = x + a; one read and one write for each element.
void copy_rounds(const Device&, std::size_t rounds, std::size_t piece, std::span<const float> x, float a,
                 std::span<float> y);

}  // namespace tapestry::kernels
