#include "kernels/tiles/tiles.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tapestry::kernels {

#if defined(__x86_64__)
namespace {

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512bf16")

constexpr std::size_t kRows = 8;  // of sums in registers at a time

template <std::size_t TILES>
using Sums = __m512[kRows][TILES];

template <std::size_t TILES>
inline __attribute__((always_inline)) void clear(Sums<TILES>& sums) {
#pragma GCC unroll 8
  for (std::size_t m = 0; m < kRows; ++m)
#pragma GCC unroll 2
    for (std::size_t j = 0; j < TILES; ++j) sums[m][j] = _mm512_setzero_ps();
}

template <std::size_t TILES>
inline __attribute__((always_inline)) void store(const Sums<TILES>& sums, bool add, float* c) {
#pragma GCC unroll 8
  for (std::size_t m = 0; m < kRows; ++m)
#pragma GCC unroll 2
    for (std::size_t j = 0; j < TILES; ++j) {
      float* to = c + m * kBlockColumns + j * kTileColumns;
      _mm512_storeu_ps(to, add ? _mm512_add_ps(_mm512_loadu_ps(to), sums[m][j]) : sums[m][j]);
    }
}

// Each pair of A is spread over a register and multiplied with the pairs of a row of each tile of B.
template <std::size_t TILES>
inline __attribute__((always_inline)) void add_tiles(const Bf16* a, std::size_t row, const Bf16* b, Sums<TILES>& sums) {
  for (std::size_t k = 0; k < kTilePairs; ++k, a += 2, b += 2 * kTileColumns) {
    __m512bh columns[TILES];
#pragma GCC unroll 2
    for (std::size_t j = 0; j < TILES; ++j)
      columns[j] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + j * kTileSize));
#pragma GCC unroll 8
    for (std::size_t m = 0; m < kRows; ++m) {
      int pair;
      __builtin_memcpy(&pair, a + m * row, sizeof pair);
      const __m512bh spread = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
#pragma GCC unroll 2
      for (std::size_t j = 0; j < TILES; ++j) sums[m][j] = _mm512_dpbf16_ps(sums[m][j], spread, columns[j]);
    }
  }
}

// `kRows` rows of a block. With several terms, sums start anew for each step: one long sum would round too often.
template <std::size_t TERMS, std::size_t TILES>
void rows_of(const TileProduct& p, const Bf16* a, float* c) {
  Sums<TILES> sums;
  clear<TILES>(sums);
  const Bf16* b = p.b;
  for (std::size_t step = 0; step < p.count; ++step, b += TERMS * TILES * kTileSize) {
    for (const TermPair& pair : kTermPairs<TERMS>)
      add_tiles<TILES>(a + p.steps[step] + pair.a * p.plane, p.row, b + pair.b * TILES * kTileSize, sums);
    if (TERMS == 1) continue;
    store<TILES>(sums, step != 0, c);
    clear<TILES>(sums);
  }
  if (TERMS == 1 || p.count == 0) store<TILES>(sums, false, c);
}

#pragma GCC pop_options

void product(const TileProduct& p) {
  with_terms(p.terms, [&](auto terms) {
    for (std::size_t m = 0; m < kBlockRows; m += kRows) {
      const Bf16* a = p.a[m / kTileRows] + m % kTileRows * p.row;
      float* c = p.c + m * kBlockColumns;
      p.tiles == 2 ? rows_of<terms, 2>(p, a, c) : rows_of<terms, 1>(p, a, c);
    }
  });
}

void nothing() {}

}  // namespace

const TileExecutor* avx512_bf16_tiles() {
  static constexpr TileExecutor kTiles{.name = "avx512_bf16",
                                       .begin = nothing,
                                       .product = product,
                                       .end = nothing,
                                       .rows = kRows,
                                       .least_columns = kTileColumns + 1,
                                       .least_reuse = 150,
                                       .least_share = 0.6};
  static const bool runs =
      __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  return runs ? &kTiles : nullptr;
}
#else
const TileExecutor* avx512_bf16_tiles() { return nullptr; }
#endif

}  // namespace tapestry::kernels
