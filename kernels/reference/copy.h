#pragma once

#include <cstddef>
#include <span>

#include "kernels/broadcast_walk.h"

namespace tapestry::kernels::reference {

// See kernels/copy.h.
template <class T>
void gather_strided(const BroadcastDims& dims, std::span<const T> x, std::span<T> y) {
  const std::size_t step = innermost_strides(dims)[0];
  walk_rows(dims, 0, dims.size, [&](std::size_t out, std::size_t count, const std::array<std::size_t, 3>& at) {
    for (std::size_t i = 0; i < count; ++i) y[out + i] = x[at[0] + i * step];
  });
}

}  // namespace tapestry::kernels::reference
