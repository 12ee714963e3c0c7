// Every unit of tiles that this machine has, at every precision, on every target that may pack for it.
#pragma once

#include <functional>
#include <vector>

#include "kernels/matrix_unit.h"
#include "kernels/tiles/tiles.h"
#include "tests/support/targets.h"

namespace tapestry::test {

// The emulated one first; those that this machine does not have are left out, and named once on stderr.
std::vector<const kernels::TileExecutor*> tile_executors();

// Calls body(device): the emulated unit on every tested target, the units of the CPU on the best one; at all
// precisions. No product is too small for their tiles.
void for_each_tile_unit(const std::function<void(const kernels::Device&)>& body, int threads = 2);

// How far results of a unit may be off, of a sum whose terms are as large as all of its results together.
double tile_tolerance(Precision precision);

}  // namespace tapestry::test
