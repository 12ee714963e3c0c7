// The ReLU behind a norm, forward and backward. Included once for each target.

#if defined(TAPESTRY_KERNELS_NORM_MASK_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_NORM_MASK_INL_H
#undef TAPESTRY_KERNELS_NORM_MASK_INL_H
#else
#define TAPESTRY_KERNELS_NORM_MASK_INL_H
#endif

#include <type_traits>

#include "kernels/norm/mask.h"
#include "kernels/simd/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

// v where y is above 0, or not a number.
template <class D>
HWY_INLINE hn::Vec<D> PositivePart(D d, hn::Vec<D> y, hn::Vec<D> v) {
  return hn::IfThenZeroElse(hn::Le(y, hn::Zero(d)), v);
}

// Calls body with the mask as a constant.
template <class Body>
HWY_INLINE void WithMask(NormMask mask, const Body& body) {
  if (mask == NormMask::none) return body(std::integral_constant<NormMask, NormMask::none>());
  if (mask == NormMask::computed) return body(std::integral_constant<NormMask, NormMask::computed>());
  body(std::integral_constant<NormMask, NormMask::output>());
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
