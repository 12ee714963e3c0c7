#include "kernels/peak.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/peak.cc"
#include "kernels/highway.h"
//
#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

constexpr std::size_t kChains = 12;  // more than latency times ports, and no more than 16 registers hold

void IterateAffine(std::size_t rounds, float a, float b, float* HWY_RESTRICT y, std::size_t size) {
  const hn::ScalableTag<float> d;
  const auto factor = hn::Set(d, a), term = hn::Set(d, b);
  std::size_t i = 0;
  for (const std::size_t block = kChains * hn::Lanes(d); i + block <= size; i += block) {
    hn::Vec<decltype(d)> chains[kChains];
#pragma GCC unroll 12
    for (std::size_t k = 0; k < kChains; ++k) chains[k] = hn::LoadU(d, y + i + k * hn::Lanes(d));
    for (std::size_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
      for (std::size_t k = 0; k < kChains; ++k) chains[k] = hn::MulAdd(factor, chains[k], term);
    }
#pragma GCC unroll 12
    for (std::size_t k = 0; k < kChains; ++k) hn::StoreU(chains[k], d, y + i + k * hn::Lanes(d));
  }
  for_lanes(d, size - i, [&](std::size_t j, auto lanes) {
    auto v = load(d, y + i + j, lanes);
    for (std::size_t round = 0; round < rounds; ++round) v = hn::MulAdd(factor, v, term);
    store(v, d, y + i + j, lanes);
  });
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {
namespace {
HWY_EXPORT(IterateAffine);
}  // namespace

void iterate_affine(const Device& device, std::size_t rounds, float a, float b, std::span<float> y) {
  constexpr std::size_t kGrain = 192;
  parallel_for(device.pool, y.size(), kGrain, [&](std::size_t begin, std::size_t end) {
    TAPESTRY_CALL(device.target, IterateAffine)(rounds, a, b, y.data() + begin, end - begin);
  });
}

}  // namespace tapestry::kernels
#endif
