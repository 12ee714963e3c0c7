#include "kernels/reduce.h"

#include <atomic>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/reduce.cc"
#include "kernels/highway.h"
//
#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

// x - x is 0 for finite numbers and NaN for all others.
bool AllFinite(const float* x, std::size_t size) {
  const hn::ScalableTag<float> d;
  auto sum = hn::Zero(d);
  for_lanes(d, size, [&](std::size_t i, auto lanes) HWY_ATTR {
    const auto v = load(d, x + i, lanes);
    sum = hn::Add(sum, hn::Sub(v, v));
  });
  return hn::GetLane(hn::SumOfLanes(d, sum)) == 0;
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {

HWY_EXPORT(AllFinite);

bool all_finite(const Device& device, std::span<const float> x) {
  std::atomic<bool> finite = true;
  parallel_for(device.pool, x.size(), kGrain, [&](std::size_t begin, std::size_t end) {
    if (!TAPESTRY_CALL(device.target, AllFinite)(x.data() + begin, end - begin)) finite = false;
  });
  return finite;
}

}  // namespace tapestry::kernels
#endif
