// A sum over pieces of work, the same at any number of threads.
#pragma once

#include "kernels/device.h"

namespace tapestry::kernels {

// The sum of body(begin, end) over pieces of [0, size), added up in order.
template <class Body>
double sum_pieces(const Device& device, std::size_t size, std::size_t grain, const Body& body) {
  if (size == 0) return 0;
  if (size <= grain) return body(std::size_t{0}, size);
  const std::size_t pieces = (size + grain - 1) / grain;
  const Block block = device.arena.allocate(pieces * sizeof(double));
  double* sums = reinterpret_cast<double*>(block.data());
  parallel_for(device.pool, size, grain,
               [&](std::size_t begin, std::size_t end) { sums[begin / grain] = body(begin, end); });
  double total = 0;
  for (std::size_t i = 0; i < pieces; ++i) total += sums[i];
  return total;
}

}  // namespace tapestry::kernels
