// Sums and maxima of a row of floats: short float sums, merged in double. Included once for each target.

#if defined(TAPESTRY_KERNELS_SUMS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_SUMS_INL_H
#undef TAPESTRY_KERNELS_SUMS_INL_H
#else
#define TAPESTRY_KERNELS_SUMS_INL_H
#endif

#include <algorithm>
#include <limits>

#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

// How many terms a lane adds up before its sum moves to double.
inline constexpr std::size_t kSumLength = 32;

// The sum of term(i, lanes) over [0, n); lanes that do not count are left out.
template <class D, class Term>
HWY_INLINE double SumTerms(D d, std::size_t n, const Term& term) {
  const std::size_t block = kSumLength * hn::Lanes(d);
  double total = 0;
  for (std::size_t begin = 0; begin < n; begin += block) {
    auto sum = hn::Zero(d);
    for_lanes(d, std::min(block, n - begin), [&](std::size_t i, auto lanes) HWY_ATTR {
      sum = hn::Add(sum, only(d, term(begin + i, lanes), hn::Zero(d), lanes));
    });
    total += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sum)));
  }
  return total;
}

// The largest of n numbers, -inf for none; where there are NaNs, any of them or any number.
template <class D>
HWY_INLINE float Highest(D d, const float* x, std::size_t n) {
  const auto lowest = hn::Set(d, -std::numeric_limits<float>::infinity());
  auto top = lowest;
  for_lanes(d, n, [&](std::size_t i, auto lanes) HWY_ATTR {
    top = hn::Max(top, only(d, load(d, x + i, lanes), lowest, lanes));
  });
  return hn::GetLane(hn::MaxOfLanes(d, top));
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
