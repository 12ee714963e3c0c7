// What all register tiles, whose sums stay in registers, share: their size, and vectors of which some lanes count.
// Included once for each target.

#if defined(TAPESTRY_KERNELS_REGISTER_TILE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_REGISTER_TILE_INL_H
#undef TAPESTRY_KERNELS_REGISTER_TILE_INL_H
#else
#define TAPESTRY_KERNELS_REGISTER_TILE_INL_H
#endif

#include <cstddef>

#include "kernels/simd/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

// Accumulators of a register tile: rows x 2 vectors, as many as the registers hold beside two vectors of B and one of A
// (Goto & van de Geijn 2008; row counts measured, but for NEON, where the products' loops show no sum in memory).
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr std::size_t kRows = 14;
#elif HWY_TARGET == HWY_AVX2
constexpr std::size_t kRows = 6;
#else
constexpr std::size_t kRows = 4;
#endif
constexpr std::size_t kVectors = 2;
// Vectors of channels side by side for which the registers hold the sums of nine taps, and what these are made of.
constexpr std::size_t kTapVectors = kRows == 14 ? 2 : 1;

const hn::ScalableTag<float> kTag;
using V = hn::Vec<decltype(kTag)>;

HWY_INLINE V LoadSome(const float* from, std::size_t count) {
  return count >= hn::Lanes(kTag) ? load(kTag, from, AllLanes{}) : load(kTag, from, FirstLanes{count});
}
HWY_INLINE void StoreSome(V v, float* to, std::size_t count) {
  if (count >= hn::Lanes(kTag)) return store(v, kTag, to, AllLanes{});
  store(v, kTag, to, FirstLanes{count});
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
