#pragma once

#include <cstddef>
#include <span>

namespace tapestry::kernels::reference {

// See kernels/elementwise.h.
template <class T>
void accumulate(std::span<const T> x, std::span<T> y) {
  for (std::size_t i = 0; i < y.size(); ++i) y[i] += x[i];
}

}  // namespace tapestry::kernels::reference
