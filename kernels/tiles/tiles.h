// Products of bf16 tiles with sums in fp32, on whatever unit has them; not part of the public interface.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace tapestry::kernels {

using Bf16 = std::uint16_t;  // the upper half of a float

inline constexpr std::size_t kTileRows = 16, kTileColumns = 16, kTilePairs = 16, kTileDepth = 32;
inline constexpr std::size_t kTileSize = kTilePairs * kTileColumns * 2;  // elements of a tile of B
inline constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);    // of a row of sums that nobody wants
inline constexpr std::size_t kBlockRows = 2 * kTileRows, kBlockColumns = 2 * kTileColumns;  // of a block of sums

// A block of C[32, 32] = A[32, 32 count] B[32 count, 32]. Each float of A and B is a sum of `terms` bf16, x = x0 + x1 +
// x2, and the products xi yj with i + j < terms are summed, the smallest first: six products, three or one.
struct TileProduct {
  const Bf16* a[2];             // the first row of each of the two tiles of A, first term
  std::size_t row, plane;       // elements of A from row to row, from term to term
  const std::ptrdiff_t* steps;  // where in a row each step's 32 elements start
  std::size_t count;            // of steps
  const Bf16* b;                // [count][terms][tiles][16 pairs of rows][16 columns][2]
  std::size_t terms;
  std::size_t tiles;  // of B: 2, or 1 where there are no more than 16 columns; the other half of C is left alone
  float* c;           // rows of 32, aligned to 64 bytes
};

// A unit that computes such blocks. Sums of its own are made of the 32 products of a step, so that orders may differ
// from unit to unit by what rounding does. Denormals count as zero, going in and coming out.
struct TileExecutor {
  const char* name;
  void (*begin)();  // on a thread, before its products
  void (*product)(const TileProduct&);
  void (*end)();     // after them
  std::size_t rows;  // of sums that stay in registers
  // From where it is faster than multiply-adds of floats: columns of B; in gradients of the weights, products for a
  // packed float, and the share of products that are not with zeros, of the padding or behind rows of the grid.
  std::size_t least_columns, least_reuse;
  double least_share;
};

const TileExecutor& emulated_tiles();     // plain loops, on any machine: what the others are held against
const TileExecutor* avx512_bf16_tiles();  // the bf16 products of AVX-512; nullptr where this CPU has none
const TileExecutor* amx_tiles();          // the tiles of AMX; nullptr where there are none, or no permission

// The use of an executor by a thread.
class TileUse {
 public:
  explicit TileUse(const TileExecutor& executor) : executor_(executor) { executor_.begin(); }
  ~TileUse() { executor_.end(); }
  TileUse(const TileUse&) = delete;
  TileUse& operator=(const TileUse&) = delete;
  void operator()(const TileProduct& product) const { executor_.product(product); }

 private:
  const TileExecutor& executor_;
};

// The terms of A and B of one product. Those of a block follow each other so that neighbours share an operand: 4, 8 or
// 14 tiles are loaded for 4, 12 or 24 products.
struct TermPair {
  std::size_t a, b;
};
template <std::size_t TERMS>
inline constexpr std::array<TermPair, TERMS*(TERMS + 1) / 2> kTermPairs{{{0, 0}}};
template <>
inline constexpr std::array<TermPair, 3> kTermPairs<2>{{{0, 1}, {0, 0}, {1, 0}}};
template <>
inline constexpr std::array<TermPair, 6> kTermPairs<3>{{{0, 2}, {0, 1}, {1, 1}, {1, 0}, {2, 0}, {0, 0}}};

// Returns body(terms), with the number as a std::integral_constant.
template <class Body>
auto with_terms(std::size_t terms, const Body& body) {
  if (terms == 1) return body(std::integral_constant<std::size_t, 1>{});
  if (terms == 2) return body(std::integral_constant<std::size_t, 2>{});
  return body(std::integral_constant<std::size_t, 3>{});
}

}  // namespace tapestry::kernels
