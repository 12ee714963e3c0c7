// The innermost part of products: a register tile of C. Included once for each target.

#if defined(TAPESTRY_KERNELS_MATMUL_TILE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_MATMUL_TILE_INL_H
#undef TAPESTRY_KERNELS_MATMUL_TILE_INL_H
#else
#define TAPESTRY_KERNELS_MATMUL_TILE_INL_H
#endif

#include <array>
#include <cstddef>
#include <utility>

#include "kernels/simd/register_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

// One register tile of C: MR rows, `columns` columns (at most NR vectors).
struct RegisterTileArgs {
  const float* a;
  std::size_t stride_a;  // from row to row, or from k to k when A is transposed
  const float* b;
  std::size_t stride_b;
  float* packed;  // where this tile leaves B for the next ones; nullptr: nowhere
  std::size_t depth;
  const float* bias;  // nullptr: none
  bool load_c;
  float* c;
  std::size_t stride_c, columns;
  const float* ahead;  // rows to be fetched meanwhile, one after every `pause` steps; nullptr: none
  std::size_t stride_ahead, pause;
  bool fetch_to_write;  // into L1, to be written next; else into L2
};

// The rows of A that a register tile reads at each k. Rows are addressed from every third one: more strides than that
// do not fit the registers, and what the compiler then does costs a port that the products need.
template <std::size_t MR, bool kTransposeA>
struct RowsOfA {
  HWY_INLINE RowsOfA(const float* a, std::size_t stride) : stride(stride) {
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kPointers; ++i) rows[i] = a + (kTransposeA ? 0 : 3 * i * stride);
  }
  HWY_INLINE V operator[](std::size_t m) const {
    return hn::Set(kTag, kTransposeA ? rows[0][m] : rows[m / 3][m % 3 * stride]);
  }
  HWY_INLINE void next() {
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kPointers; ++i) rows[i] += kTransposeA ? stride : 1;
  }

  static constexpr std::size_t kPointers = kTransposeA ? 1 : (MR + 2) / 3;
  const float* rows[kPointers];
  std::size_t stride;
};

HWY_INLINE void Fetch(const float* from, bool to_write) {
  if (to_write)
    __builtin_prefetch(from, 1, 3);
  else
    __builtin_prefetch(from, 0, 2);
}

template <std::size_t MR, std::size_t NR, bool kTransposeA>
void RegisterTile(const RegisterTileArgs& t) {
  const std::size_t lanes = hn::Lanes(kTag);
  const bool whole = t.columns == NR * lanes;
  V acc[MR][NR];
  for (std::size_t n = 0; n < NR; ++n) {
    const std::size_t left = whole ? lanes : t.columns - n * lanes;
    const V bias = t.bias == nullptr ? hn::Zero(kTag) : LoadSome(t.bias + n * lanes, left);
#pragma GCC unroll 16
    for (std::size_t m = 0; m < MR; ++m)
      acc[m][n] = t.load_c ? hn::Add(bias, LoadSome(t.c + m * t.stride_c + n * lanes, left)) : bias;
  }
  RowsOfA<MR, kTransposeA> a(t.a, t.stride_a);
  const float* b = t.b;
  float* packed = t.packed;
  const float* ahead = t.ahead;
  std::size_t pause = ahead == nullptr ? t.depth + 1 : t.pause;
  for (std::size_t k = 0; k < t.depth; ++k, a.next(), b += t.stride_b) {
    if (--pause == 0) {
      for (std::size_t i = 0; i < NR * lanes; i += 16) Fetch(ahead + i, t.fetch_to_write);
      ahead += t.stride_ahead;
      pause = t.pause;
    }
    V vb[NR];
#pragma GCC unroll 2
    for (std::size_t n = 0; n < NR; ++n) vb[n] = hn::LoadU(kTag, b + n * lanes);
    if (packed != nullptr) {
#pragma GCC unroll 2
      for (std::size_t n = 0; n < NR; ++n) hn::StoreU(vb[n], kTag, packed + n * lanes);
      packed += NR * lanes;
    }
#pragma GCC unroll 16
    for (std::size_t m = 0; m < MR; ++m) {
      const V va = a[m];
#pragma GCC unroll 2
      for (std::size_t n = 0; n < NR; ++n) acc[m][n] = hn::MulAdd(va, vb[n], acc[m][n]);
    }
  }
#pragma GCC unroll 16
  for (std::size_t m = 0; m < MR; ++m)
#pragma GCC unroll 2
    for (std::size_t n = 0; n < NR; ++n) {
      float* to = t.c + m * t.stride_c + n * lanes;
      if (whole)
        hn::StoreU(acc[m][n], kTag, to);
      else
        StoreSome(acc[m][n], to, t.columns - n * lanes);
    }
}

using RegisterTileFunction = void (*)(const RegisterTileArgs&);

template <std::size_t NR, bool kTransposeA, std::size_t... R>
constexpr std::array<RegisterTileFunction, kRows> RegisterTiles(std::index_sequence<R...>) {
  return {RegisterTile<R + 1, NR, kTransposeA>...};
}

RegisterTileFunction RegisterTileFor(std::size_t rows, bool narrow, bool transpose_a) {
  using Rows = std::make_index_sequence<kRows>;
  static constexpr std::array<RegisterTileFunction, kRows> table[2][2] = {
      {RegisterTiles<2, false>(Rows{}), RegisterTiles<2, true>(Rows{})},
      {RegisterTiles<1, false>(Rows{}), RegisterTiles<1, true>(Rows{})}};
  return table[narrow][transpose_a][rows - 1];
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
