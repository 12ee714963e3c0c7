#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/reference/broadcast_walk.h"

namespace tapestry::kernels {

// Elements of x [outer, size, inner] picked along `size`, `count` of them for each outer and inner index.
struct GatherDims {
  std::size_t outer = 1, size = 1, inner = 1, count = 1;
};

namespace reference {

// See kernels/copy.h.
template <class T>
void gather_strided(const BroadcastDims& dims, std::span<const T> x, std::span<T> y) {
  const std::size_t step = innermost_strides(dims)[0];
  walk_rows(dims, 0, dims.size, [&](std::size_t out, std::size_t count, const std::array<std::size_t, 3>& at) {
    for (std::size_t i = 0; i < count; ++i) y[out + i] = x[at[0] + i * step];
  });
}

template <class T>
void scatter_strided(const BroadcastDims& dims, std::span<const T> x, std::span<T> y, bool accumulate) {
  const std::size_t step = innermost_strides(dims)[0];
  walk_rows(dims, 0, dims.size, [&](std::size_t in, std::size_t count, const std::array<std::size_t, 3>& at) {
    for (std::size_t i = 0; i < count; ++i) {
      T& to = y[at[0] + i * step];
      to = accumulate ? to + x[in + i] : x[in + i];
    }
  });
}

template <class T>
void take_rows(std::size_t width, std::span<const T> x, std::span<const std::int64_t> index, std::span<T> y) {
  for (std::size_t i = 0; i < index.size(); ++i)
    for (std::size_t j = 0; j < width; ++j) y[i * width + j] = x[static_cast<std::size_t>(index[i]) * width + j];
}

template <class T>
void add_rows(std::size_t width, std::span<const T> x, std::span<const std::int64_t> index, std::span<T> y) {
  for (std::size_t i = 0; i < index.size(); ++i)
    for (std::size_t j = 0; j < width; ++j) y[static_cast<std::size_t>(index[i]) * width + j] += x[i * width + j];
}

// Calls body(place in [outer, count, inner], place in [outer, size, inner]) for the outer indices [begin, end).
template <class Body>
void walk_along(const GatherDims& dims, std::span<const std::int64_t> index, std::size_t begin, std::size_t end,
                const Body& body) {
  for (std::size_t o = begin; o < end; ++o)
    for (std::size_t i = 0; i < dims.count; ++i)
      for (std::size_t j = 0; j < dims.inner; ++j) {
        const std::size_t at = (o * dims.count + i) * dims.inner + j;
        body(at, (o * dims.size + static_cast<std::size_t>(index[at])) * dims.inner + j);
      }
}

template <class T>
void gather_along(const GatherDims& dims, std::span<const T> x, std::span<const std::int64_t> index, std::span<T> y) {
  walk_along(dims, index, 0, dims.outer, [&](std::size_t at, std::size_t from) { y[at] = x[from]; });
}

template <class T>
void scatter_along(const GatherDims& dims, std::span<const T> x, std::span<const std::int64_t> index, std::span<T> y) {
  walk_along(dims, index, 0, dims.outer, [&](std::size_t at, std::size_t to) { y[to] += x[at]; });
}

}  // namespace reference
}  // namespace tapestry::kernels
