#include "kernels/norm_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/norm/mask.h"
#include "kernels/norm/rows.h"
#include "kernels/simd/or_null.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm/rows_forward.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/norm/mask-inl.h"
#include "kernels/norm/rows-inl.h"
#include "kernels/norm/stream-inl.h"
#include "kernels/simd/sums-inl.h"
#include "kernels/simd/wide-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

// Mean and variance of a row in one pass, in double, of differences from the first number: its distance from the mean
// is at most sqrt(n) deviations, which costs n roundings of a double, and no float is too large to be squared. Without
// a mean, differences are from 0.
HWY_INLINE reference::Moments RowMoments(const float* HWY_RESTRICT x, const RowNormDims& dims) {
  const Doubles d;
  const double count = static_cast<double>(dims.n), start = dims.center ? static_cast<double>(x[0]) : 0;
  const auto first = hn::Set(d, start);
  const auto sums = SumsOf<2>(d, dims.n, [&](std::size_t i, auto lanes, auto& s) HWY_ATTR {
    const auto t = only(d, hn::Sub(Widened(x + i, lanes), first), hn::Zero(d), lanes);
    s[0] = hn::Add(s[0], t);
    s[1] = hn::MulAdd(t, t, s[1]);
  });
  const double off = dims.center ? sums[0] / count : 0, variance = sums[1] / count - off * off;
  if (!std::isfinite(variance))
    return {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};
  return {start + off, std::max(variance, 0.0)};
}

constexpr std::size_t kRowsAtOnce = 4;  // whose square roots and divisions run side by side

// Statistics of some rows first, then their results: what one row waits for is computed beside the others. A tail is a
// residual or a ReLU.
template <bool kStream, bool kWeight, bool kBias, bool kTail>
HWY_INLINE void ForwardRows(const RowNormDims& dims, const RowNormArrays& a, double* HWY_RESTRICT stats,
                            std::size_t begin, std::size_t end) {
  const hn::ScalableTag<float> d;
  for (std::size_t row = begin; row < end; ++row) {
    const reference::Moments m = RowMoments(a.x + row * dims.n, dims);
    stats[2 * row] = m.mean;
    stats[2 * row + 1] = 1 / std::sqrt(m.variance + dims.epsilon);
  }
  for (std::size_t row = begin; row < end; ++row) {
    const float* HWY_RESTRICT in = a.x + row * dims.n;
    float* HWY_RESTRICT out = a.out + row * dims.n;
    const RowFactors factors(stats[2 * row], stats[2 * row + 1]);
    for_lanes(d, dims.n, [&](std::size_t j, auto lanes) HWY_ATTR {
      auto v = Affine<kWeight, kBias>(d, a, factors.Normalize(d, load(d, in + j, lanes)), j, lanes);
      if constexpr (kTail) {
        if (a.residual != nullptr) v = hn::Add(v, load(d, a.residual + row * dims.n + j, lanes));
        if (dims.relu) v = PositivePart(d, v, v);
      }
      Write<kStream>(d, v, out + j, lanes);
    });
  }
}

void NormalizeRows(const RowNormDims& dims, const RowNormArrays& a, double* HWY_RESTRICT stats, std::size_t begin,
                   std::size_t end) {
  WithStream(a.stream, [&](auto stream) HWY_ATTR {
    WithConstant(a.weight != nullptr, [&](auto weight) HWY_ATTR {
      WithConstant(a.bias != nullptr, [&](auto bias) HWY_ATTR {
        WithConstant(a.residual != nullptr || dims.relu, [&](auto tail) HWY_ATTR {
          for (std::size_t row = begin; row < end; row += kRowsAtOnce)
            ForwardRows<decltype(stream)::value, decltype(weight)::value, decltype(bias)::value, decltype(tail)::value>(
                dims, a, stats, row, std::min(end, row + kRowsAtOnce));
        });
      });
    });
  });
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {
namespace {

HWY_EXPORT(NormalizeRows);

}  // namespace

void row_norm_forward(const Device& device, const RowNormDims& dims, const RowNormForward<float>& a) {
  if (a.y.empty()) return;
  const RowNormArrays arrays{.x = a.x.data(),
                             .weight = or_null(a.weight),
                             .bias = or_null(a.bias),
                             .residual = or_null(a.residual),
                             .out = a.y.data(),
                             .stream = norm_streams(a.y, dims.n)};
  parallel_for(device.pool, dims.rows, std::max<std::size_t>(1, kGrain / dims.n),
               [&](std::size_t begin, std::size_t end) {
                 TAPESTRY_CALL(device.target, NormalizeRows)(dims, arrays, a.stats.data(), begin, end);
               });
}

}  // namespace tapestry::kernels
#endif
