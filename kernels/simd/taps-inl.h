// Which tap of a pooling window the largest element lies at. Included once for each target.

#if defined(TAPESTRY_KERNELS_TAPS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_TAPS_INL_H
#undef TAPESTRY_KERNELS_TAPS_INL_H
#else
#define TAPESTRY_KERNELS_TAPS_INL_H
#endif

#include <cstdint>

#include "kernels/simd/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

using Floats = hn::ScalableTag<float>;
using TapLanes = hn::RebindToSigned<Floats>;

// Taps of 32 bits in lanes, of 8 or 32 bits in memory.
template <class Lanes>
HWY_INLINE hn::Vec<TapLanes> LoadTaps(const std::int32_t* from, Lanes lanes) {
  return load(TapLanes(), from, lanes);
}
template <class Lanes>
HWY_INLINE void StoreTaps(hn::Vec<TapLanes> taps, std::int32_t* to, Lanes lanes) {
  store(taps, TapLanes(), to, lanes);
}
template <class Lanes>
HWY_INLINE hn::Vec<TapLanes> LoadTaps(const std::uint8_t* from, Lanes lanes) {
  return hn::PromoteTo(TapLanes(), load(hn::Rebind<std::uint8_t, TapLanes>(), from, lanes));
}
template <class Lanes>
HWY_INLINE void StoreTaps(hn::Vec<TapLanes> taps, std::uint8_t* to, Lanes lanes) {
  const hn::Rebind<std::uint8_t, TapLanes> bytes;
  store(hn::DemoteTo(bytes, taps), bytes, to, lanes);
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
