// What both directions of the norm of rows share. Included once for each target.

#if defined(TAPESTRY_KERNELS_NORM_ROWS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_NORM_ROWS_INL_H
#undef TAPESTRY_KERNELS_NORM_ROWS_INL_H
#else
#define TAPESTRY_KERNELS_NORM_ROWS_INL_H
#endif

#include <algorithm>
#include <limits>
#include <type_traits>

#include "kernels/norm/rows.h"
#include "kernels/simd/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

// h = (x - mean) rstd for x of one row, as (x scale - high) rstd + offset: high is the mean as a float, the offset has
// the digits that it lacks, and scale, a power of two, keeps differences of the largest floats finite.
struct RowFactors {
  RowFactors(double mean, double inverse) {
    const bool huge = inverse < 1e-30;
    const double m = huge ? mean * 0x1p-64 : mean;
    const double factor =
        std::min(huge ? inverse * 0x1p64 : inverse, static_cast<double>(std::numeric_limits<float>::max()));
    if (huge) scale = 0x1p-64f;
    high = static_cast<float>(m);
    rstd = static_cast<float>(factor);
    offset = static_cast<float>((static_cast<double>(high) - m) * factor);
  }
  template <class D>
  HWY_INLINE hn::Vec<D> Normalize(D d, hn::Vec<D> x) const {
    const auto t = hn::MulSub(x, hn::Set(d, scale), hn::Set(d, high));
    return hn::MulAdd(t, hn::Set(d, rstd), hn::Set(d, offset));
  }
  float scale = 1, high = 0, rstd = 0, offset = 0;
};

// The norm itself, of h. Forward and backward must find the same sign, so it is written once.
template <bool kWeight, bool kBias, class D, class Lanes>
HWY_INLINE hn::Vec<D> Affine(D d, const RowNormArrays& a, hn::Vec<D> h, std::size_t j, Lanes lanes) {
  if constexpr (kWeight && kBias)
    return hn::MulAdd(h, load(d, a.weight + j, lanes), load(d, a.bias + j, lanes));
  else if constexpr (kWeight)
    return hn::Mul(h, load(d, a.weight + j, lanes));
  else if constexpr (kBias)
    return hn::Add(h, load(d, a.bias + j, lanes));
  else
    return h;
}

// Calls body(std::true_type or std::false_type).
template <class Body>
HWY_INLINE void WithConstant(bool value, const Body& body) {
  value ? body(std::true_type{}) : body(std::false_type{});
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
