// Copies of a matrix for register tiles to read in order. Included once for each target.

#if defined(TAPESTRY_KERNELS_PACK_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_PACK_INL_H
#undef TAPESTRY_KERNELS_PACK_INL_H
#else
#define TAPESTRY_KERNELS_PACK_INL_H
#endif

#include <algorithm>
#include <cstddef>

#include "kernels/simd/register_tile-inl.h"

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

// Lanes x lanes elements at `from` become as many columns at `to`: within blocks of 4 x 4 first, then these trade
// places.
HWY_INLINE void TransposeSquare(const float* from, std::size_t stride, float* to, std::size_t stride_to) {
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
  constexpr std::size_t kLanes = HWY_TARGET == HWY_AVX3 ? 16 : 8;
  V part[kLanes];  // [4 g + j]: block b holds element 4 b + j of rows 4 g, 4 g + 1, 4 g + 2 and 4 g + 3
#pragma GCC unroll 4
  for (std::size_t g = 0; g < kLanes; g += 4) {
    const V r0 = hn::LoadU(kTag, from + g * stride), r1 = hn::LoadU(kTag, from + (g + 1) * stride);
    const V r2 = hn::LoadU(kTag, from + (g + 2) * stride), r3 = hn::LoadU(kTag, from + (g + 3) * stride);
    const V even_low = hn::InterleaveLower(kTag, r0, r2), even_high = hn::InterleaveUpper(kTag, r0, r2);
    const V odd_low = hn::InterleaveLower(kTag, r1, r3), odd_high = hn::InterleaveUpper(kTag, r1, r3);
    part[g] = hn::InterleaveLower(kTag, even_low, odd_low);
    part[g + 1] = hn::InterleaveUpper(kTag, even_low, odd_low);
    part[g + 2] = hn::InterleaveLower(kTag, even_high, odd_high);
    part[g + 3] = hn::InterleaveUpper(kTag, even_high, odd_high);
  }
#pragma GCC unroll 4
  for (std::size_t j = 0; j < 4; ++j) {
#if HWY_TARGET == HWY_AVX2
    hn::StoreU(hn::ConcatLowerLower(kTag, part[4 + j], part[j]), kTag, to + j * stride_to);
    hn::StoreU(hn::ConcatUpperUpper(kTag, part[4 + j], part[j]), kTag, to + (4 + j) * stride_to);
#else
    const V even0 = hn::OddEvenBlocks(hn::SwapAdjacentBlocks(part[4 + j]), part[j]);
    const V odd0 = hn::OddEvenBlocks(part[4 + j], hn::SwapAdjacentBlocks(part[j]));
    const V even1 = hn::OddEvenBlocks(hn::SwapAdjacentBlocks(part[12 + j]), part[8 + j]);
    const V odd1 = hn::OddEvenBlocks(part[12 + j], hn::SwapAdjacentBlocks(part[8 + j]));
    hn::StoreU(hn::ConcatLowerLower(kTag, even1, even0), kTag, to + j * stride_to);
    hn::StoreU(hn::ConcatLowerLower(kTag, odd1, odd0), kTag, to + (4 + j) * stride_to);
    hn::StoreU(hn::ConcatUpperUpper(kTag, even1, even0), kTag, to + (8 + j) * stride_to);
    hn::StoreU(hn::ConcatUpperUpper(kTag, odd1, odd0), kTag, to + (12 + j) * stride_to);
#endif
  }
#else
  Transpose4(from, stride, to, stride_to);
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
  const std::size_t lanes = std::max<std::size_t>(hn::Lanes(kTag), 4);
  const std::size_t squares = depth >= lanes ? columns / lanes * lanes : 0, whole = columns / 4 * 4;
  for (std::size_t k = 0; k < depth && squares != 0; k += lanes) {
    const std::size_t at = std::min(k, depth - lanes);
    for (std::size_t n = 0; n < squares; n += lanes)
      TransposeSquare(b + n * stride + at, stride, to + at * width + n, width);
  }
  if (squares == columns) return;
  std::size_t k = 0;
  for (; k < depth && depth >= 4; k += 4) {
    k = std::min(k, depth - 4);  // the last four may be partly done
    for (std::size_t n = squares; n < whole; n += 4) Transpose4(b + n * stride + k, stride, to + k * width + n, width);
    for (std::size_t n = whole; n < columns; ++n)
      for (std::size_t i = 0; i < 4; ++i) to[(k + i) * width + n] = b[n * stride + k + i];
  }
  for (; k < depth; ++k)
    for (std::size_t n = squares; n < columns; ++n) to[k * width + n] = b[n * stride + k];
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
