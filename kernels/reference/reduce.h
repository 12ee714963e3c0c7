#pragma once

#include <algorithm>
#include <cmath>
#include <span>

namespace tapestry::kernels::reference {

// See kernels/reduce.h.
template <class T>
bool all_finite(std::span<const T> x) {
  return std::ranges::all_of(x, [](T value) { return std::isfinite(value); });
}

template <class T>
void sum_rows(std::size_t m, std::size_t n, std::span<const T> x, std::span<T> out, bool accumulate) {
  for (std::size_t j = 0; j < n; ++j) {
    T sum = accumulate ? out[j] : T{};
    for (std::size_t i = 0; i < m; ++i) sum += x[i * n + j];
    out[j] = sum;
  }
}

}  // namespace tapestry::kernels::reference
