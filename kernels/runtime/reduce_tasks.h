// How a reduction of [outer, size, inner] is cut into tasks, as a function of the shape alone; not part of the public
// interface.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "kernels/device.h"
#include "kernels/reference/reduce.h"

namespace tapestry::kernels {

// For inner = 1. rows(first, count, begin, size, out) reduces elements [begin, begin + size) of `count` rows;
// fold(a, b) merges the results of two pieces of a row, in order.
template <class P, class Rows, class Fold>
void reduce_rows(const Device& device, const ReduceDims& dims, std::span<P> y, const Rows& rows, const Fold& fold) {
  const std::size_t pieces = (dims.size + kGrain - 1) / kGrain;
  if (pieces <= 1) {
    const std::size_t grain = kGrain / std::max<std::size_t>(dims.size, 1);
    return parallel_for(device.pool, dims.outer, grain, [&](std::size_t begin, std::size_t end) {
      rows(begin, end - begin, std::size_t{0}, dims.size, y.data() + begin);
    });
  }
  const Block block = device.arena.allocate(dims.outer * pieces * sizeof(P));
  P* partial = reinterpret_cast<P*>(block.data());
  device.pool.run(dims.outer * pieces, [&](std::size_t task) {
    const std::size_t begin = task % pieces * kGrain;
    rows(task / pieces, std::size_t{1}, begin, std::min(kGrain, dims.size - begin), partial + task);
  });
  for (std::size_t row = 0; row < dims.outer; ++row) {
    y[row] = partial[row * pieces];
    for (std::size_t piece = 1; piece < pieces; ++piece) y[row] = fold(y[row], partial[row * pieces + piece]);
  }
}

// For inner > 1: tasks are pieces of rows times blocks of columns. columns(i, row, rows, column, count, out) reduces
// `rows` rows, from `row` on, of `count` columns of matrix i.
template <class P, class Columns, class Fold>
void reduce_columns(const Device& device, const ReduceDims& dims, std::span<P> y, const Columns& columns,
                    const Fold& fold) {
  const std::size_t matrix = dims.size * dims.inner;
  if (matrix <= kGrain)
    return parallel_for(
        device.pool, dims.outer, kGrain / std::max<std::size_t>(matrix, 1), [&](std::size_t begin, std::size_t end) {
          for (std::size_t i = begin; i < end; ++i)
            columns(i, std::size_t{0}, dims.size, std::size_t{0}, dims.inner, y.data() + i * dims.inner);
        });
  // Blocks of columns whose sums stay in L1, of rows enough that their sums are a small part to fold.
  const std::size_t width = std::min<std::size_t>(dims.inner, 512), blocks = (dims.inner + width - 1) / width;
  const std::size_t rows = std::max<std::size_t>(kGrain / width, 64), pieces = (dims.size + rows - 1) / rows;
  const Block block = device.arena.allocate(pieces == 1 ? 0 : dims.outer * pieces * dims.inner * sizeof(P));
  P* partial = pieces == 1 ? y.data() : reinterpret_cast<P*>(block.data());
  device.pool.run(dims.outer * pieces * blocks, [&](std::size_t task) {
    const std::size_t column = task % blocks * width, piece = task / blocks, row = piece % pieces * rows;
    columns(piece / pieces, row, std::min(rows, dims.size - row), column, std::min(width, dims.inner - column),
            partial + piece * dims.inner + column);
  });
  if (pieces == 1) return;
  for (std::size_t i = 0; i < dims.outer; ++i)
    parallel_for(device.pool, dims.inner, kGrain / pieces + 1, [&](std::size_t begin, std::size_t end) {
      P* out = y.data() + i * dims.inner;
      const P* from = partial + i * pieces * dims.inner;
      std::copy(from + begin, from + end, out + begin);
      for (std::size_t piece = 1; piece < pieces; ++piece)
        for (std::size_t j = begin; j < end; ++j) out[j] = fold(out[j], from[piece * dims.inner + j]);
    });
}

}  // namespace tapestry::kernels
