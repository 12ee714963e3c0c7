// What tiles read, made of floats, and what becomes of their sums; not part of the public interface. Functions that
// split return false where a number is not finite or would be rounded to infinity: then tiles would not give what
// multiply-adds of floats give, and the product is for these.
#pragma once

#include <cstddef>

#include "kernels/target.h"
#include "kernels/tiles.h"

namespace tapestry::kernels {

// How floats become rows of bf16: element [i, j], term t, lies at to[t plane + i row + j].
struct SplitTo {
  Bf16* to;
  std::size_t row, plane, terms;
};

// x0 is x rounded to the nearest bf16 (ties to even), x1 what is left of x, rounded, and x2 what is left of that.
// Each row of `columns` is followed by zeros up to `padded`.
bool split_rows(Target, const float* x, std::size_t stride, std::size_t rows, std::size_t columns, std::size_t padded,
                const SplitTo&);
// The same of the transpose: `rows` of the result are columns of x, which lie together in memory.
bool split_transposed(Target, const float* x, std::size_t stride, std::size_t rows, std::size_t columns,
                      const SplitTo&);

// One step of B: element [k, n] is rows[k][n stride], k < 32, n < columns; a nullptr is a row of zeros.
struct StepRows {
  const float* rows[kTileDepth];
  std::size_t stride = 1;
};
bool pack_step(Target, const StepRows&, std::size_t columns, std::size_t terms, std::size_t tiles, Bf16* to);

// Sums of a block to where they belong: rows[m][n] = block[m, n] (added to what is there when `add`) + bias[n], and no
// less than 0 with `relu`; a nullptr skips the row, or the bias.
struct BlockStore {
  float* rows[kBlockRows];
  std::size_t columns;
  const float* bias = nullptr;
  bool add = false, relu = false;
};
void store_block(Target, const float* block, const BlockStore&);

}  // namespace tapestry::kernels
