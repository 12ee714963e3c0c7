#pragma once

#include "kernels/norm/windows.h"
#include "kernels/reference/norm_channels.h"
#include "kernels/reference/pool.h"

namespace tapestry::kernels::reference {

// y = the largest of each window of `all`, which are the norms of x.
template <class T>
void pool_windows(const NormPool<T>& pool, std::size_t channels, std::span<const T> x, std::span<const T> all,
                  std::span<T> y) {
  const PoolDims dims = pool.windows->dims(x.size() / channels, channels);
  max_pool_forward(dims, all, y, pool.taps);
  for_pool_pairs(dims, [&](std::size_t at_y, std::size_t at_x, std::size_t tap, double) {
    for (std::size_t c = 0; c < channels && !pool.largest.empty(); ++c)
      if (pool.taps[at_y * channels + c] == tap) pool.largest[at_y * channels + c] = x[at_x * channels + c];
  });
}

// all = dy where the largest of a window lies, else 0.
template <class T>
void spread_windows(const NormPool<T>& pool, std::size_t channels, std::span<const T> dy, std::span<T> all) {
  max_pool_backward(pool.windows->dims(all.size() / channels, channels), std::span<const std::uint8_t>(pool.taps), dy,
                    all);
}

}  // namespace tapestry::kernels::reference
