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

}  // namespace tapestry::kernels::reference
