// The passes of norm_channels.cc over a piece of x, seen as rows of `width` columns: all channels, repeated until rows
// fill whole vectors. Each column has factors of its own; the last row may be cut short.
#pragma once

#include <cstddef>

#include "kernels/norm/mask.h"
#include "kernels/target.h"

namespace tapestry::kernels {

struct NormColumns {
  std::size_t width;
  const float* center;          // t = x - center
  const float *scale, *offset;  // y = t scale + offset
  const float *slope, *rest;    // dx = (g - shift) scale + t slope + rest
  const float* shift;           // a gradient that many have, or 0; nullptr: 0 for all, as it must be with a ReLU
};

// Where sums are made: `partial` for short ones in float, `totals` in double; both [2, width].
struct NormSums {
  float* partial;
  double* totals;
};

// What a pass reads and writes; nullptr where it is missing.
struct NormPiece {
  const float *x = nullptr, *residual = nullptr, *y = nullptr, *dy = nullptr;
  float *out = nullptr, *dresidual = nullptr;
  std::size_t size = 0;
  bool stream = false;  // whether out, which is aligned to vectors, goes past the caches
};

// totals = the sums of t and t^2 over a piece of the `positions` that the channels have.
void column_moments(Target, const float* x, std::size_t size, std::size_t positions, const NormColumns&,
                    const NormSums&);
// totals = the sums of g t and g - shift, for g = dy where the mask lets it pass; writes g to dresidual.
void column_products(Target, const NormPiece&, NormMask, const NormColumns&, const NormSums&);
// out = y, and max(y, 0) for a ReLU.
void normalize_columns(Target, const NormPiece&, bool relu, const NormColumns&);
// out = dx.
void gradient_columns(Target, const NormPiece&, NormMask, const NormColumns&);

}  // namespace tapestry::kernels
