// Sums and maxima of a row of floats: short float sums, merged in double. Included once for each target.

#if defined(TAPESTRY_KERNELS_SUMS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_SUMS_INL_H
#undef TAPESTRY_KERNELS_SUMS_INL_H
#else
#define TAPESTRY_KERNELS_SUMS_INL_H
#endif

#include <algorithm>
#include <array>
#include <limits>

#include "kernels/simd/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

// How many terms a lane adds up before its sum moves to double.
inline constexpr std::size_t kSumLength = 16;

// kSums sums over [0, n): add(i, lanes, sums) adds the terms of the lanes at i to sums[0 ... kSums - 1], and nothing
// for lanes that do not count. Four sums of each run side by side, so that no addition waits for the one before.
template <std::size_t kSums, class D, class Add>
HWY_INLINE std::array<double, kSums> SumsOf(D d, std::size_t n, const Add& add) {
  const std::size_t step = hn::Lanes(d), block = 4 * kSumLength * step;
  std::array<double, kSums> totals{};
  for (std::size_t begin = 0; begin < n; begin += block) {
    const std::size_t end = std::min(begin + block, n);
    hn::Vec<D> sums[4][kSums];
    for (auto& chain : sums)
      for (auto& sum : chain) sum = hn::Zero(d);
    std::size_t at = begin;
    for (; at + 4 * step <= end; at += 4 * step)
      for (std::size_t u = 0; u < 4; ++u) add(at + u * step, AllLanes{}, sums[u]);
    for_lanes(d, end - at, [&](std::size_t i, auto lanes) HWY_ATTR { add(at + i, lanes, sums[0]); });
    for (std::size_t k = 0; k < kSums; ++k) {
      const auto sum = hn::Add(hn::Add(sums[0][k], sums[1][k]), hn::Add(sums[2][k], sums[3][k]));
      totals[k] += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sum)));
    }
  }
  return totals;
}

// The sum of term(i, lanes) over [0, n); lanes that do not count are left out.
template <class D, class Term>
HWY_INLINE double SumTerms(D d, std::size_t n, const Term& term) {
  return SumsOf<1>(d, n, [&](std::size_t i, auto lanes, auto& sums) HWY_ATTR {
    sums[0] = hn::Add(sums[0], only(d, term(i, lanes), hn::Zero(d), lanes));
  })[0];
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
