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

// out[n] = sum of `rows` rows of x: four vectors of columns at a time.
void SumRows(const float* x, std::size_t rows, std::size_t columns, float* out) {
  const hn::ScalableTag<float> d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t j = 0;
  for (; j + 4 * lanes <= columns; j += 4 * lanes) {
    auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
    for (std::size_t i = 0; i < rows; ++i) {
      const float* row = x + i * columns + j;
      s0 = hn::Add(s0, hn::LoadU(d, row));
      s1 = hn::Add(s1, hn::LoadU(d, row + lanes));
      s2 = hn::Add(s2, hn::LoadU(d, row + 2 * lanes));
      s3 = hn::Add(s3, hn::LoadU(d, row + 3 * lanes));
    }
    hn::StoreU(s0, d, out + j);
    hn::StoreU(s1, d, out + j + lanes);
    hn::StoreU(s2, d, out + j + 2 * lanes);
    hn::StoreU(s3, d, out + j + 3 * lanes);
  }
  for_lanes(d, columns - j, [&](std::size_t i, auto lanes_left) HWY_ATTR {
    auto even = hn::Zero(d), odd = even;
    std::size_t row = 0;
    for (; row + 2 <= rows; row += 2) {
      even = hn::Add(even, load(d, x + row * columns + j + i, lanes_left));
      odd = hn::Add(odd, load(d, x + (row + 1) * columns + j + i, lanes_left));
    }
    if (row < rows) even = hn::Add(even, load(d, x + row * columns + j + i, lanes_left));
    store(hn::Add(even, odd), d, out + j + i, lanes_left);
  });
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {

HWY_EXPORT(AllFinite);
HWY_EXPORT(SumRows);

bool all_finite(const Device& device, std::span<const float> x) {
  std::atomic<bool> finite = true;
  parallel_for(device.pool, x.size(), kGrain, [&](std::size_t begin, std::size_t end) {
    if (!TAPESTRY_CALL(device.target, AllFinite)(x.data() + begin, end - begin)) finite = false;
  });
  return finite;
}

void sum_rows(const Device& device, std::size_t m, std::size_t n, std::span<const float> x, std::span<float> out,
              bool accumulate) {
  if (n == 0) return;
  constexpr std::size_t kRows = 256;  // summed in fp32; their sums are added in double, in order
  const std::size_t chunks = (m + kRows - 1) / kRows;
  const Block partial = device.arena.allocate(chunks * n * sizeof(float));
  float* sums = reinterpret_cast<float*>(partial.data());
  const auto task = [&](std::size_t chunk) {
    TAPESTRY_CALL(device.target, SumRows)
    (x.data() + chunk * kRows * n, std::min(kRows, m - chunk * kRows), n, sums + chunk * n);
  };
  if (m * n <= kGrain)
    for (std::size_t chunk = 0; chunk < chunks; ++chunk) task(chunk);
  else
    device.pool.run(chunks, task);
  for (std::size_t j = 0; j < n; ++j) {
    double sum = accumulate ? out[j] : 0;
    for (std::size_t chunk = 0; chunk < chunks; ++chunk) sum += sums[chunk * n + j];
    out[j] = static_cast<float>(sum);
  }
}

}  // namespace tapestry::kernels
#endif
