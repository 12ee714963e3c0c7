// What tiles read, made of floats, and what becomes of their sums; not part of the public interface. Functions that
// split return false where a number is not finite or would be rounded to infinity: then tiles would not give what
// multiply-adds of floats give, and the product is for these.
//
// A float that is split into several terms is the sum of bf16: the first is x rounded to the nearest (ties away from
// zero), the second what is left of x, rounded likewise. What is left then has at most 7 significant bits and is the
// third, so that three terms give x back exactly. One term alone is rounded with ties to even, as conversions to bf16
// are elsewhere.
#pragma once

#include <cstddef>

#include "kernels/target.h"
#include "kernels/tiles/tiles.h"

namespace tapestry::kernels {

// How floats become rows of bf16: element [i, j], term t, lies at to[t plane + i row + j].
struct SplitTo {
  Bf16* to;
  std::size_t row, plane, terms;
};

// Each row of `columns` is followed by zeros up to `padded`.
bool split_rows(Target, const float* x, std::size_t stride, std::size_t rows, std::size_t columns, std::size_t padded,
                const SplitTo&);

// 32 inputs of a product: element [k, n] is rows[k][first + n stride], and zero from k = depth on.
struct StepRows {
  const float* const* rows;
  std::size_t first = 0, stride = 1, depth = kTileDepth;
};
// As a step of A: row n < columns of the result holds all k. Rows lie together, the stride is 1.
bool split_transposed(Target, const StepRows&, std::size_t columns, const SplitTo&);
// As a step of B, with zeros behind the columns.
bool pack_step(Target, const StepRows&, std::size_t columns, std::size_t terms, std::size_t tiles, Bf16* to);

// Sums of a block to where they belong: row m lies at to + at[m / 16][m % 16], and is left out where that is kNowhere,
// or where there are no such 16. Becomes block[m, n] (added to what is there when `add`) + bias[n], and no less than 0
// with `relu`; there may be no bias.
struct BlockStore {
  float* to;
  const std::size_t* at[2];
  std::size_t columns;
  const float* bias = nullptr;
  bool add = false, relu = false;
};
void store_block(Target, const float* block, const BlockStore&);

// Where the rows of a block lie that are `stride` apart; all but the first `rows` are left out.
struct BlockRows {
  BlockRows(std::size_t rows, std::size_t stride) {
    for (std::size_t m = 0; m < kBlockRows; ++m) at[m] = m < rows ? m * stride : kNowhere;
  }
  std::size_t at[kBlockRows];
};

}  // namespace tapestry::kernels
