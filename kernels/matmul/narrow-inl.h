// Products with few columns, at most one vector: register tiles whose vectors lie along another axis than the columns,
// so that all lanes work. Included once for each target.

#if defined(TAPESTRY_KERNELS_MATMUL_NARROW_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_MATMUL_NARROW_INL_H
#undef TAPESTRY_KERNELS_MATMUL_NARROW_INL_H
#else
#define TAPESTRY_KERNELS_MATMUL_NARROW_INL_H
#endif

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "kernels/matmul/register_tile-inl.h"
#include "kernels/simd/pack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

// Rows [row, row_end) of C, A transposed, as C^T = op(B)^T A: vectors lie along m, where A is contiguous. Needs as many
// rows of C as a tile has lanes; the last tile reaches back into rows that are done.
void FlippedRows(const MatmulDims& dims, std::size_t row, std::size_t row_end, const float* a, const float* b,
                 const float* bias, float* c) {
  constexpr std::size_t kMost = HWY_MAX_BYTES / sizeof(float);
  HWY_ALIGN float columns[kMost * kVectors * kMost], rows[kMost * kVectors * kMost + 4];
  const std::size_t n = dims.n, width = kVectors * hn::Lanes(kTag), tiles = (n + kRows - 1) / kRows;
  for (std::size_t i = row; i < row_end; i += width) {
    const std::size_t end = std::min(i + width, row_end), at = std::min(i, dims.m - width);
    for (std::size_t j = 0; j < n && bias != nullptr; ++j) std::fill_n(columns + j * width, width, bias[j]);
    for (std::size_t tile = 0; tile < tiles; ++tile) {
      const std::size_t from = n * tile / tiles, count = n * (tile + 1) / tiles - from;
      RegisterTileFor(count, false, !dims.transpose_b)({.a = b + from * (dims.transpose_b ? dims.k : 1),
                                                        .stride_a = dims.transpose_b ? dims.k : n,
                                                        .b = a + at,
                                                        .stride_b = dims.m,
                                                        .packed = nullptr,
                                                        .depth = dims.k,
                                                        .bias = nullptr,
                                                        .load_c = bias != nullptr,
                                                        .c = columns + from * width,
                                                        .stride_c = width,
                                                        .columns = width,
                                                        .ahead = tile == 0 && end != row_end ? a + end : nullptr,
                                                        .stride_ahead = dims.m,
                                                        .pause = 1,
                                                        .fetch_to_write = false});
    }
    // Fours of columns from the last to the first: what one writes past the end of its rows, the next ones overwrite.
    for (std::size_t r = 0; r < width; r += 4)
      for (std::size_t j = (n + 3) / 4 * 4; j != 0; j -= 4)
        Transpose4(columns + (j - 4) * width + r, width, rows + r * n + j - 4, n);
    const float* result = rows + (i - at) * n;
    float* to = c + i * n;
    for_lanes(kTag, (end - i) * n, [&](std::size_t at_lane, auto lanes) HWY_ATTR {
      const V v = load(kTag, result + at_lane, lanes);
      store(dims.accumulate ? hn::Add(load(kTag, to + at_lane, lanes), v) : v, kTag, to + at_lane, lanes);
    });
  }
}

// Register tiles of dot products: rows of A by rows of op(B)^T, vectors along k.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr std::size_t kDotRows = 5, kDotColumns = 5;
#else
constexpr std::size_t kDotRows = 3, kDotColumns = 3;
#endif
constexpr std::size_t kDotDepth = 512;  // k at a time: that part of op(B)^T stays in L1

struct DotArgs {
  const float* a;
  std::size_t stride_a;
  const float* b;
  std::size_t stride_b, depth;
  bool load_sums;
  float* sums;  // a vector for each row and column
  std::size_t stride_sums;
  const float* ahead;  // as many rows as the tile has, to be fetched meanwhile; nullptr: none
};

template <std::size_t R, std::size_t C>
void DotRegisterTile(const DotArgs& t) {
  const std::size_t lanes = hn::Lanes(kTag);
  V acc[R][C];
#pragma GCC unroll 8
  for (std::size_t i = 0; i < R; ++i)
#pragma GCC unroll 8
    for (std::size_t j = 0; j < C; ++j)
      acc[i][j] = t.load_sums ? hn::LoadU(kTag, t.sums + i * t.stride_sums + j * lanes) : hn::Zero(kTag);
  for_lanes(kTag, t.depth, [&](std::size_t k, auto some) HWY_ATTR {
    if (t.ahead != nullptr)
#pragma GCC unroll 8
      for (std::size_t i = 0; i < R; ++i) __builtin_prefetch(t.ahead + i * t.stride_a + k, 0, 3);
    V vb[C];
#pragma GCC unroll 8
    for (std::size_t j = 0; j < C; ++j) vb[j] = load(kTag, t.b + j * t.stride_b + k, some);
#pragma GCC unroll 8
    for (std::size_t i = 0; i < R; ++i) {
      const V va = load(kTag, t.a + i * t.stride_a + k, some);
#pragma GCC unroll 8
      for (std::size_t j = 0; j < C; ++j) acc[i][j] = hn::MulAdd(va, vb[j], acc[i][j]);
    }
  });
#pragma GCC unroll 8
  for (std::size_t i = 0; i < R; ++i)
#pragma GCC unroll 8
    for (std::size_t j = 0; j < C; ++j) hn::StoreU(acc[i][j], kTag, t.sums + i * t.stride_sums + j * lanes);
}

using DotFunction = void (*)(const DotArgs&);

template <std::size_t... I>
constexpr std::array<DotFunction, sizeof...(I)> DotRegisterTiles(std::index_sequence<I...>) {
  return {DotRegisterTile<I / kDotColumns + 1, I % kDotColumns + 1>...};
}

// op(B)^T for k in [begin, end), one block of kDotDepth: row after row.
void PackDots(const MatmulDims& dims, std::size_t begin, std::size_t end, const float* b, float* packed) {
  float* to = packed + begin * dims.n;
  if (!dims.transpose_b) return PackB(b + begin * dims.n, dims.n, true, dims.n, end - begin, end - begin, to);
  PackB(b + begin, dims.k, false, dims.n, end - begin, end - begin, to);
}

// Rows [row, row_end) of C, A not transposed, from all of `packed`. `sums` has room for a vector for each element.
void DotRows(const MatmulDims& dims, std::size_t row, std::size_t row_end, const float* a, const float* packed,
             const float* bias, float* c, float* sums) {
  static constexpr auto kTable = DotRegisterTiles(std::make_index_sequence<kDotRows * kDotColumns>{});
  const std::size_t lanes = hn::Lanes(kTag), n = dims.n, rows = row_end - row;
  const std::size_t row_tiles = (rows + kDotRows - 1) / kDotRows, column_tiles = (n + kDotColumns - 1) / kDotColumns;
  a += row * dims.k;
  for (std::size_t k = 0; k < dims.k; k += kDotDepth) {
    const std::size_t depth = std::min(kDotDepth, dims.k - k);
    for (std::size_t tile = 0; tile < row_tiles; ++tile) {
      const std::size_t r = rows * tile / row_tiles, r_end = rows * (tile + 1) / row_tiles;
      const float* next = tile + 1 < row_tiles ? a + r_end * dims.k + k : k + depth < dims.k ? a + k + depth : nullptr;
      for (std::size_t part = 0; part < column_tiles; ++part) {
        const std::size_t j = n * part / column_tiles, j_end = n * (part + 1) / column_tiles;
        kTable[(r_end - r - 1) * kDotColumns + j_end - j - 1]({.a = a + r * dims.k + k,
                                                               .stride_a = dims.k,
                                                               .b = packed + k * n + j * depth,
                                                               .stride_b = depth,
                                                               .depth = depth,
                                                               .load_sums = k != 0,
                                                               .sums = sums + (r * n + j) * lanes,
                                                               .stride_sums = n * lanes,
                                                               .ahead = part == 0 ? next : nullptr});
      }
    }
  }
  for (std::size_t i = 0; i < rows * n; ++i) {
    float& to = c[row * n + i];
    const float start = (bias != nullptr ? bias[i % n] : 0) + (dims.accumulate ? to : 0);
    to = start + hn::GetLane(hn::SumOfLanes(kTag, hn::LoadU(kTag, sums + i * lanes)));
  }
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
