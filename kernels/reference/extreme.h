#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/reference/reduce.h"

namespace tapestry::kernels {

enum class Extreme { smallest, largest };

namespace reference {

// Whether x takes the place of the best so far: it is beyond it, or the first NaN.
template <class T>
bool beats(Extreme which, T x, T best) {
  if (std::isnan(best)) return false;
  return std::isnan(x) || (which == Extreme::largest ? x > best : x < best);
}

// See kernels/extreme.h, for this and what follows.
template <class T>
void arg_extremes(const ReduceDims& dims, Extreme which, std::span<const T> x, std::span<std::int64_t> y) {
  for (std::size_t i = 0; i < dims.outer; ++i)
    for (std::size_t j = 0; j < dims.inner; ++j) {
      const std::size_t from = i * dims.size * dims.inner + j;
      std::size_t best = 0;
      for (std::size_t k = 1; k < dims.size; ++k)
        if (beats(which, x[from + k * dims.inner], x[from + best * dims.inner])) best = k;
      y[i * dims.inner + j] = static_cast<std::int64_t>(best);
    }
}

template <class T>
void extremes(const ReduceDims& dims, Extreme which, std::span<const T> x, std::span<T> y) {
  for (std::size_t i = 0; i < dims.outer; ++i)
    for (std::size_t j = 0; j < dims.inner; ++j) {
      const std::size_t from = i * dims.size * dims.inner + j;
      T best = x[from];
      for (std::size_t k = 1; k < dims.size; ++k)
        if (beats(which, x[from + k * dims.inner], best)) best = x[from + k * dims.inner];
      y[i * dims.inner + j] = best;
    }
}

}  // namespace reference
}  // namespace tapestry::kernels
