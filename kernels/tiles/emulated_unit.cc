#include <bit>
#include <cmath>
#include <limits>
#include <span>

#include "kernels/tiles/tiles.h"

// TDPBF16PS as Intel's manual describes it: of the 16 pairs of a step, the first and the second elements are summed
// apart, by fused multiply-adds from zero, then the two sums, then that and C. Denormals are zero, whatever the modes.

namespace tapestry::kernels {
namespace {

float flushed(float x) { return std::abs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0f, x) : x; }
float widened(Bf16 x) { return flushed(std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16)); }

void add_tile(const Bf16* a, std::size_t row, const Bf16* b, float* c) {
  for (std::size_t m = 0; m < kTileRows; ++m)
    for (std::size_t n = 0; n < kTileColumns; ++n) {
      float sums[2] = {};
      for (std::size_t k = 0; k < kTileDepth; ++k)
        sums[k % 2] =
            flushed(std::fma(widened(a[m * row + k]), widened(b[(k / 2 * kTileColumns + n) * 2 + k % 2]), sums[k % 2]));
      float& to = c[m * kBlockColumns + n];
      to = flushed(flushed(to) + flushed(sums[0] + sums[1]));
    }
}

void product(const TileProduct& p) {
  for (std::size_t m = 0; m < kBlockRows; ++m)
    for (std::size_t n = 0; n < p.tiles * kTileColumns; ++n) p.c[m * kBlockColumns + n] = 0;
  const auto pairs = with_terms(p.terms, [](auto terms) { return std::span<const TermPair>(kTermPairs<terms>); });
  for (std::size_t step = 0; step < p.count; ++step)
    for (const TermPair& pair : pairs)
      for (std::size_t i = 0; i < 2; ++i)
        for (std::size_t j = 0; j < p.tiles; ++j)
          add_tile(p.a[i] + p.steps[step] + pair.a * p.plane, p.row,
                   p.b + ((step * p.terms + pair.b) * p.tiles + j) * kTileSize,
                   p.c + i * kTileRows * kBlockColumns + j * kTileColumns);
}

void nothing() {}

}  // namespace

const TileExecutor& emulated_tiles() {
  static constexpr TileExecutor kEmulated{.name = "emulated",
                                          .begin = nothing,
                                          .product = product,
                                          .end = nothing,
                                          .rows = kBlockRows,
                                          .least_columns = 0,
                                          .least_reuse = 0,
                                          .least_share = 0};
  return kEmulated;
}

}  // namespace tapestry::kernels
