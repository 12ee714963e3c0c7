#include "kernels/update.h"

#include <cmath>

#include "kernels/reference/update.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/update.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/simd/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

// In double, where the square of no float overflows and no sum of floats loses them.
double SquareSum(const float* HWY_RESTRICT x, std::size_t size) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> narrow;
  const std::size_t step = hn::Lanes(d);
  auto sum0 = hn::Zero(d), sum1 = hn::Zero(d), sum2 = hn::Zero(d), sum3 = hn::Zero(d);
  std::size_t i = 0;
  for (; i + 4 * step <= size; i += 4 * step) {
    const auto a = hn::PromoteTo(d, hn::LoadU(narrow, x + i)), b = hn::PromoteTo(d, hn::LoadU(narrow, x + i + step));
    const auto e = hn::PromoteTo(d, hn::LoadU(narrow, x + i + 2 * step));
    const auto f = hn::PromoteTo(d, hn::LoadU(narrow, x + i + 3 * step));
    sum0 = hn::MulAdd(a, a, sum0);
    sum1 = hn::MulAdd(b, b, sum1);
    sum2 = hn::MulAdd(e, e, sum2);
    sum3 = hn::MulAdd(f, f, sum3);
  }
  for_lanes(narrow, size - i, [&](std::size_t j, auto lanes) HWY_ATTR {
    const auto v = hn::PromoteTo(d, load(narrow, x + i + j, lanes));
    sum0 = hn::MulAdd(v, v, sum0);
  });
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3))));
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {

HWY_EXPORT(SquareSum);

double l2_norm(const Device& device, std::span<const float> x) {
  if (x.size() <= kGrain) return std::sqrt(TAPESTRY_CALL(device.target, SquareSum)(x.data(), x.size()));
  const std::size_t chunks = (x.size() + kGrain - 1) / kGrain;
  const Block block = device.arena.allocate(chunks * sizeof(double));
  auto* partial = reinterpret_cast<double*>(block.data());
  parallel_for(device.pool, x.size(), kGrain, [&](std::size_t begin, std::size_t end) {
    partial[begin / kGrain] = TAPESTRY_CALL(device.target, SquareSum)(x.data() + begin, end - begin);
  });
  double sum = 0;
  for (std::size_t i = 0; i < chunks; ++i) sum += partial[i];
  return std::sqrt(sum);
}

double l2_norm(const Device&, std::span<const double> x) { return reference::l2_norm(x); }

}  // namespace tapestry::kernels
#endif
