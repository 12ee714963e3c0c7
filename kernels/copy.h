// Plain memory movement, for T = float and double. Nothing may overlap.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/device.h"
#include "kernels/reference/copy.h"

namespace tapestry::kernels {

// y, contiguous, from x with any strides (input 0 of `dims`): transposes, slices, stretched axes.
template <class T>
void gather_strided(const Device&, const BroadcastDims&, std::span<const T> x, std::span<T> y);

// The way back: y, with the strides of input 0 of `dims` (none of them 0), from x, contiguous; y += x when
// `accumulate`.
template <class T>
void scatter_strided(const Device&, const BroadcastDims&, std::span<const T> x, std::span<T> y, bool accumulate);

// y[i, :] = x[index[i], :] for x [V, width] and every i of `index`.
template <class T>
void take_rows(const Device&, std::size_t width, std::span<const T> x, std::span<const std::int64_t> index,
               std::span<T> y);

// y[index[i], :] += x[i, :] for y [V, width], in the order of i for each row of y.
template <class T>
void add_rows(const Device&, std::size_t width, std::span<const T> x, std::span<const std::int64_t> index,
              std::span<T> y);

// y[o, i, j] = x[o, index[o, i, j], j] for x [outer, size, inner], index and y [outer, count, inner].
template <class T>
void gather_along(const Device&, const GatherDims&, std::span<const T> x, std::span<const std::int64_t> index,
                  std::span<T> y);

// y[o, index[o, i, j], j] += x[o, i, j], in the order of i: the gradient of gather_along.
template <class T>
void scatter_along(const Device&, const GatherDims&, std::span<const T> x, std::span<const std::int64_t> index,
                   std::span<T> y);

}  // namespace tapestry::kernels
