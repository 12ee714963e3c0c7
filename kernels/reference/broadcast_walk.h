// Broadcasting: its sizes, and the walk over rows of the innermost axis, with the place of each input.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

namespace tapestry::kernels {

// Elementwise work on up to three inputs of which any axis may be stretched (NumPy's broadcasting). Axes are collapsed:
// none has size 1 unless it is the only one, and the innermost stride of each input is 1 or 0 (stretched).
struct BroadcastDims {
  static constexpr std::size_t kMaxRank = 6, kMaxInputs = 3;
  std::size_t rank = 1, size = 1;  // axes and elements of the output
  std::array<std::size_t, kMaxRank> sizes{1};
  std::array<std::array<std::size_t, kMaxRank>, kMaxInputs> strides{};  // by input, in elements
};

inline std::array<std::size_t, 3> innermost_strides(const BroadcastDims& dims) {
  return {dims.strides[0][dims.rank - 1], dims.strides[1][dims.rank - 1], dims.strides[2][dims.rank - 1]};
}

// Calls body(out, count, at) for the pieces of rows that make up the elements [begin, end) of the output: `count`
// elements from `out` on, which meet input k from element at[k] on.
template <class Body>
inline __attribute__((always_inline)) void walk_rows(const BroadcastDims& dims, std::size_t begin, std::size_t end,
                                                     const Body& body) {
  if (begin >= end) return;
  const std::size_t last = dims.rank - 1, width = dims.sizes[last];
  std::array<std::size_t, BroadcastDims::kMaxRank> index{};
  std::array<std::size_t, 3> row{};
  std::size_t rest = begin / width, skip = begin % width;
  for (std::size_t axis = last; axis-- > 0; rest /= dims.sizes[axis]) {
    index[axis] = rest % dims.sizes[axis];
    for (std::size_t k = 0; k < 3; ++k) row[k] += index[axis] * dims.strides[k][axis];
  }
  for (std::size_t out = begin; out < end;) {
    const std::size_t count = std::min(width - skip, end - out);
    std::array<std::size_t, 3> at = row;
    if (skip != 0)
      for (std::size_t k = 0; k < 3; ++k) at[k] += skip * dims.strides[k][last];
    body(out, count, at);
    out += count;
    skip = 0;
    for (std::size_t axis = last; axis-- > 0;) {
      for (std::size_t k = 0; k < 3; ++k) row[k] += dims.strides[k][axis];
      if (++index[axis] < dims.sizes[axis]) break;
      for (std::size_t k = 0; k < 3; ++k) row[k] -= index[axis] * dims.strides[k][axis];
      index[axis] = 0;
    }
  }
}

}  // namespace tapestry::kernels
