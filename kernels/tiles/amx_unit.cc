#include "kernels/amx.h"
#include "kernels/tiles/tiles.h"

// The tile registers by assembly of our own: g++ 12 takes the intrinsics for functions that read no memory (tile loads)
// or its first 8 bytes (the configuration), and drops the stores that only they read.

namespace tapestry::kernels {

#if defined(__x86_64__)
namespace {

struct alignas(64) TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);

void configure() {
  static constexpr TileConfig kConfig;
  asm volatile("ldtilecfg %0" ::"m"(kConfig) : "memory");
}
void release() { asm volatile("tilerelease" ::: "memory"); }

template <int TILE>
inline __attribute__((always_inline)) void clear() {
  asm volatile("tilezero %%tmm%c0" ::"i"(TILE));
}
template <int TILE>
inline __attribute__((always_inline)) void load(const Bf16* from, std::size_t row_bytes) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(row_bytes), "i"(TILE) : "memory");
}
template <int TILE>
inline __attribute__((always_inline)) void store(float* to) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(kBlockColumns * sizeof(float)), "i"(TILE) : "memory");
}
template <int C, int A, int B>
inline __attribute__((always_inline)) void multiply() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
}

// Tiles 0 to 3 hold the sums of the block, row by row, 4 and 5 two tiles of A, 6 and 7 two of B.
template <std::size_t TILES>
struct Operands {
  const Bf16 *a0, *a1;
  std::size_t row_bytes;

  // All four products, between loads of what has changed since the ones before.
  template <bool NEW_A, bool NEW_B>
  inline __attribute__((always_inline)) void add(std::size_t a, const Bf16* b) const {
    if constexpr (NEW_A) load<4>(a0 + a, row_bytes);
    if constexpr (NEW_B) load<6>(b, 64);
    multiply<0, 4, 6>();
    if constexpr (!NEW_A) multiply<2, 5, 6>();
    if constexpr (NEW_B && TILES == 2) load<7>(b + kTileSize, 64);
    if constexpr (TILES == 2) multiply<1, 4, 7>();
    if constexpr (NEW_A) {
      load<5>(a1 + a, row_bytes);
      multiply<2, 5, 6>();
    }
    if constexpr (TILES == 2) multiply<3, 5, 7>();
  }
};

template <std::size_t TERMS, std::size_t TILES, std::size_t I = 0>
inline __attribute__((always_inline)) void add_step(const Operands<TILES>& operands, std::size_t plane, const Bf16* b) {
  if constexpr (I < kTermPairs<TERMS>.size()) {
    constexpr TermPair kPair = kTermPairs<TERMS>[I], kBefore = kTermPairs<TERMS>[I == 0 ? 0 : I - 1];
    operands.template add<I == 0 || kPair.a != kBefore.a, I == 0 || kPair.b != kBefore.b>(
        kPair.a * plane, b + kPair.b * TILES * kTileSize);
    add_step<TERMS, TILES, I + 1>(operands, plane, b);
  }
}

template <std::size_t TERMS, std::size_t TILES>
__attribute__((noinline)) void block(const TileProduct& p) {
  clear<0>(), clear<1>(), clear<2>(), clear<3>();
  const Bf16* b = p.b;
  for (std::size_t step = 0; step < p.count; ++step, b += TERMS * TILES * kTileSize)
    add_step<TERMS>(Operands<TILES>{p.a[0] + p.steps[step], p.a[1] + p.steps[step], p.row * sizeof(Bf16)}, p.plane, b);
  store<0>(p.c);
  store<2>(p.c + kTileRows * kBlockColumns);
  if constexpr (TILES == 2) {
    store<1>(p.c + kTileColumns);
    store<3>(p.c + kTileRows * kBlockColumns + kTileColumns);
  }
}

void product(const TileProduct& p) {
  with_terms(p.terms, [&](auto terms) { p.tiles == 2 ? block<terms, 2>(p) : block<terms, 1>(p); });
}

}  // namespace

const TileExecutor* amx_tiles() {
  static constexpr TileExecutor kTiles{.name = "amx",
                                       .begin = configure,
                                       .product = product,
                                       .end = release,
                                       .rows = kBlockRows,
                                       .least_columns = 8,
                                       .least_reuse = 64,
                                       .least_share = 0.35};
  return amx_state().permitted && amx_state().bf16 ? &kTiles : nullptr;
}
#else
const TileExecutor* amx_tiles() { return nullptr; }
#endif

}  // namespace tapestry::kernels
