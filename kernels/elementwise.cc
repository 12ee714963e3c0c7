#include "kernels/elementwise.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/elementwise.cc"
#include "kernels/highway.h"
//
#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

void Accumulate(const float* HWY_RESTRICT x, float* HWY_RESTRICT y, std::size_t size) {
  const hn::ScalableTag<float> d;
  for_lanes(d, size, [&](std::size_t i, auto lanes) HWY_ATTR {
    store(hn::Add(load(d, x + i, lanes), load(d, y + i, lanes)), d, y + i, lanes);
  });
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {

HWY_EXPORT(Accumulate);

void accumulate(const Device& device, std::span<const float> x, std::span<float> y) {
  parallel_for(device.pool, y.size(), kGrain, [&](std::size_t begin, std::size_t end) {
    TAPESTRY_CALL(device.target, Accumulate)(x.data() + begin, y.data() + begin, end - begin);
  });
}

}  // namespace tapestry::kernels
#endif
