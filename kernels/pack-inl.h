// Copies of a matrix for tiles to read in order. Included once for each target.

#if defined(TAPESTRY_KERNELS_PACK_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_PACK_INL_H
#undef TAPESTRY_KERNELS_PACK_INL_H
#else
#define TAPESTRY_KERNELS_PACK_INL_H
#endif

#include <algorithm>
#include <cstddef>

#include "kernels/register_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

// 4 rows of 4 elements at `from` become 4 columns at `to`.
HWY_INLINE void Transpose4(const float* from, std::size_t stride, float* to, std::size_t stride_to) {
#if HWY_TARGET == HWY_SCALAR
  for (std::size_t i = 0; i < 4; ++i)
    for (std::size_t j = 0; j < 4; ++j) to[j * stride_to + i] = from[i * stride + j];
#else
  const hn::FixedTag<float, 4> d;
  const auto r0 = hn::LoadU(d, from), r1 = hn::LoadU(d, from + stride), r2 = hn::LoadU(d, from + 2 * stride),
             r3 = hn::LoadU(d, from + 3 * stride);
  const auto even_low = hn::InterleaveLower(d, r0, r2), even_high = hn::InterleaveUpper(d, r0, r2);
  const auto odd_low = hn::InterleaveLower(d, r1, r3), odd_high = hn::InterleaveUpper(d, r1, r3);
  hn::StoreU(hn::InterleaveLower(d, even_low, odd_low), d, to);
  hn::StoreU(hn::InterleaveUpper(d, even_low, odd_low), d, to + stride_to);
  hn::StoreU(hn::InterleaveLower(d, even_high, odd_high), d, to + 2 * stride_to);
  hn::StoreU(hn::InterleaveUpper(d, even_high, odd_high), d, to + 3 * stride_to);
#endif
}

// Copies `depth` x `columns` of op(B) to rows of `width`, the rest of each row zero.
HWY_INLINE void PackB(const float* b, std::size_t stride, bool transposed, std::size_t depth, std::size_t columns,
                      std::size_t width, float* to) {
  if (columns < width) std::fill(to, to + depth * width, 0.0f);
  if (!transposed) {
    for (std::size_t k = 0; k < depth; ++k) {
      for_lanes(kTag, columns, [&](std::size_t i, auto lanes) HWY_ATTR {
        store(load(kTag, b + k * stride + i, lanes), kTag, to + k * width + i, lanes);
      });
    }
    return;
  }
  const std::size_t whole = columns / 4 * 4;
  std::size_t k = 0;
  for (; k < depth && depth >= 4; k += 4) {
    k = std::min(k, depth - 4);  // the last four may be partly done
    for (std::size_t n = 0; n < whole; n += 4) Transpose4(b + n * stride + k, stride, to + k * width + n, width);
    for (std::size_t n = whole; n < columns; ++n)
      for (std::size_t i = 0; i < 4; ++i) to[(k + i) * width + n] = b[n * stride + k + i];
  }
  for (; k < depth; ++k)
    for (std::size_t n = 0; n < columns; ++n) to[k * width + n] = b[n * stride + k];
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
