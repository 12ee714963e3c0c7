// How an optional span crosses the dispatch.
#pragma once

#include <span>

namespace tapestry::kernels {

// The first element, or nullptr when there is none.
template <class T>
T* or_null(std::span<T> x) {
  return x.empty() ? nullptr : x.data();
}

}  // namespace tapestry::kernels
