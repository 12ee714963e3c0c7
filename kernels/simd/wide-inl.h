// Floats in double lanes. Included once for each target.

#if defined(TAPESTRY_KERNELS_WIDE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_WIDE_INL_H
#undef TAPESTRY_KERNELS_WIDE_INL_H
#else
#define TAPESTRY_KERNELS_WIDE_INL_H
#endif

#include "kernels/simd/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

using Doubles = hn::ScalableTag<double>;
using Halves = hn::Rebind<float, Doubles>;  // as many floats

template <class Lanes>
HWY_INLINE hn::Vec<Doubles> Widened(const float* x, Lanes lanes) {
  return hn::PromoteTo(Doubles(), load(Halves(), x, lanes));
}
template <class Lanes>
HWY_INLINE void StoreNarrowed(hn::Vec<Doubles> v, float* to, Lanes lanes) {
  store(hn::DemoteTo(Halves(), v), Halves(), to, lanes);
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
