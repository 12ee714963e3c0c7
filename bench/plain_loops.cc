#include "bench/plain_loops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/plain_loops.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/simd/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

// The sum of term(i, lanes): eight sums at once, so that no addition waits for the one before.
template <class Term>
HWY_INLINE float Sum(std::size_t size, const Term& term) {
  constexpr std::size_t kSums = 8;
  const D d;
  V sums[kSums];
#pragma GCC unroll 8
  for (V& sum : sums) sum = hn::Zero(d);
  std::size_t i = 0;
  for (const std::size_t block = kSums * hn::Lanes(d); i + block <= size; i += block) {
#pragma GCC unroll 8
    for (std::size_t k = 0; k < kSums; ++k) sums[k] = hn::Add(sums[k], term(i + k * hn::Lanes(d), AllLanes{}));
  }
  for_lanes(d, size - i, [&](std::size_t j, auto lanes) HWY_ATTR { sums[0] = hn::Add(sums[0], term(i + j, lanes)); });
  for (std::size_t k = 1; k < kSums; ++k) sums[0] = hn::Add(sums[0], sums[k]);
  return hn::GetLane(hn::SumOfLanes(d, sums[0]));
}

// y = term(i, lanes).
template <class Term>
HWY_INLINE void Write(float* HWY_RESTRICT y, std::size_t size, const Term& term) {
  const D d;
  for_blocks(d, size, [&](std::size_t i, auto vectors, auto lanes) HWY_ATTR {
    for (std::size_t k = 0; k < vectors; ++k)
      store(term(i + k * hn::Lanes(d), lanes), d, y + i + k * hn::Lanes(d), lanes);
  });
}

float ReadOne(const float* HWY_RESTRICT x, std::size_t size) {
  return Sum(size, [&](std::size_t i, auto lanes) HWY_ATTR { return load(D(), x + i, lanes); });
}
float ReadTwo(const float* HWY_RESTRICT x, const float* HWY_RESTRICT g, std::size_t size) {
  return Sum(size, [&](std::size_t i, auto lanes)
                       HWY_ATTR { return hn::Add(load(D(), x + i, lanes), load(D(), g + i, lanes)); });
}
void ReadOneWrite(const float* HWY_RESTRICT x, float* HWY_RESTRICT y, std::size_t size) {
  const V one = hn::Set(D(), 1.0f);
  Write(y, size, [&](std::size_t i, auto lanes) HWY_ATTR { return hn::Add(load(D(), x + i, lanes), one); });
}
void ReadTwoWrite(const float* HWY_RESTRICT x, const float* HWY_RESTRICT g, float* HWY_RESTRICT y, std::size_t size) {
  Write(y, size,
        [&](std::size_t i, auto lanes) HWY_ATTR { return hn::Add(load(D(), x + i, lanes), load(D(), g + i, lanes)); });
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {
namespace {
HWY_EXPORT(ReadOne);
HWY_EXPORT(ReadTwo);
HWY_EXPORT(ReadOneWrite);
HWY_EXPORT(ReadTwoWrite);
}  // namespace
}  // namespace tapestry::kernels

namespace tapestry::bench {

using namespace kernels;

float read_one(Target target, const float* x, std::size_t size) { return TAPESTRY_CALL(target, ReadOne)(x, size); }
float read_two(Target target, const float* x, const float* g, std::size_t size) {
  return TAPESTRY_CALL(target, ReadTwo)(x, g, size);
}
void read_one_write(Target target, const float* x, float* y, std::size_t size) {
  TAPESTRY_CALL(target, ReadOneWrite)(x, y, size);
}
void read_two_write(Target target, const float* x, const float* g, float* y, std::size_t size) {
  TAPESTRY_CALL(target, ReadTwoWrite)(x, g, y, size);
}

}  // namespace tapestry::bench
#endif
