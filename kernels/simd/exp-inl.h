// e^x for kernels: Highway's polynomial (1 ulp), which turns a NaN into 0, with NaN kept. Included once for each
// target.

#if defined(TAPESTRY_KERNELS_EXP_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_EXP_INL_H
#undef TAPESTRY_KERNELS_EXP_INL_H
#else
#define TAPESTRY_KERNELS_EXP_INL_H
#endif

#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

// For x up to 104; 0 below -104.
template <class D, class V>
HWY_INLINE V ExpOrNaN(D d, V x) {
  return hwy::HWY_NAMESPACE::IfThenElse(hwy::HWY_NAMESPACE::Eq(x, x), hwy::HWY_NAMESPACE::Exp(d, x), x);
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
