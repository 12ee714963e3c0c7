// What memory and caches allow at most on a target: loops that read and write as many streams as a kernel must, and
// compute next to nothing.
#pragma once

#include <cstddef>

#include "kernels/target.h"

namespace tapestry::bench {

// The sum of x; of x and g.
float read_one(Target, const float* x, std::size_t size);
float read_two(Target, const float* x, const float* g, std::size_t size);
// y = x + 1; y = x + g.
void read_one_write(Target, const float* x, float* y, std::size_t size);
void read_two_write(Target, const float* x, const float* g, float* y, std::size_t size);

}  // namespace tapestry::bench
