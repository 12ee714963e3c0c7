#include "kernels/norm.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/norm_mask.h"
#include "kernels/or_null.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm.cc"
#include "kernels/highway.h"
//
#include "kernels/lanes-inl.h"
#include "kernels/norm_mask-inl.h"
#include "kernels/sums-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

// Mean and variance of a row in float, merged in double: the mean of differences from the first number, then the
// variance of differences from that mean, which also corrects it (Chan, Golub, LeVeque 1983, "corrected two-pass").
// Rows whose squares leave the range of float, and those with a NaN or an infinity, go through double.
template <class D>
HWY_INLINE reference::Moments RowMoments(D d, const float* HWY_RESTRICT x, std::size_t n, double epsilon) {
  const double count = static_cast<double>(n);
  const auto first = hn::Set(d, x[0]);
  const double shift =
      SumTerms(d, n, [&](std::size_t i, auto lanes) HWY_ATTR { return hn::Sub(load(d, x + i, lanes), first); }) / count;
  const double mean = static_cast<double>(x[0]) + shift;
  const float high = static_cast<float>(mean);
  const auto hi = hn::Set(d, high), lo = hn::Set(d, static_cast<float>(mean - static_cast<double>(high)));
  const auto sums = SumsOf<2>(d, n, [&](std::size_t i, auto lanes, auto& s) HWY_ATTR {
    const auto t = only(d, hn::Sub(hn::Sub(load(d, x + i, lanes), hi), lo), hn::Zero(d), lanes);
    s[0] = hn::Add(s[0], t);
    s[1] = hn::MulAdd(t, t, s[1]);
  });
  const double rest = sums[0] / count, variance = sums[1] / count - rest * rest;
  if (!squares_fit_float(variance, epsilon)) return reference::moments(x, n);
  return {mean + rest, std::max(variance, 0.0)};
}

// h = (x scale - hi - lo) rstd for x of one row: hi + lo is the mean to twice the digits of a float, and scale, a power
// of two, keeps differences of the largest floats finite.
struct RowFactors {
  RowFactors(double mean, double inverse) {
    if (inverse < 1e-30) scale = 0x1p-64f;
    const double m = mean * static_cast<double>(scale);
    hi = static_cast<float>(m);
    lo = static_cast<float>(m - static_cast<double>(hi));
    rstd = static_cast<float>(
        std::min(inverse / static_cast<double>(scale), static_cast<double>(std::numeric_limits<float>::max())));
  }
  template <class D>
  HWY_INLINE hn::Vec<D> Normalize(D d, hn::Vec<D> x) const {
    const auto t = hn::Sub(hn::MulSub(x, hn::Set(d, scale), hn::Set(d, hi)), hn::Set(d, lo));
    return hn::Mul(t, hn::Set(d, rstd));
  }
  float scale = 1, hi = 0, lo = 0, rstd = 0;
};

// The norm itself, of h. Forward and backward must find the same sign, so it is written once.
template <class D, class Lanes>
HWY_INLINE hn::Vec<D> Affine(D d, const LayerNormArrays& a, hn::Vec<D> h, std::size_t j, Lanes lanes) {
  const auto bias = a.bias == nullptr ? hn::Zero(d) : load(d, a.bias + j, lanes);
  return a.weight == nullptr ? hn::Add(h, bias) : hn::MulAdd(h, load(d, a.weight + j, lanes), bias);
}

void LayerNormForward(const NormDims& dims, const LayerNormArrays& a, double* HWY_RESTRICT stats, std::size_t begin,
                      std::size_t end) {
  const hn::ScalableTag<float> d;
  for (std::size_t row = begin; row < end; ++row) {
    const float* HWY_RESTRICT in = a.x + row * dims.n;
    const float* HWY_RESTRICT residual = a.residual == nullptr ? nullptr : a.residual + row * dims.n;
    float* HWY_RESTRICT out = a.out + row * dims.n;
    const reference::Moments m = RowMoments(d, in, dims.n, dims.epsilon);
    const double rstd = 1 / std::sqrt(m.variance + dims.epsilon);
    stats[2 * row] = m.mean;
    stats[2 * row + 1] = rstd;
    const RowFactors factors(m.mean, rstd);
    for_lanes(d, dims.n, [&](std::size_t j, auto lanes) HWY_ATTR {
      auto v = Affine(d, a, factors.Normalize(d, load(d, in + j, lanes)), j, lanes);
      if (residual != nullptr) v = hn::Add(v, load(d, residual + j, lanes));
      if (dims.relu) v = PositivePart(d, v, v);
      store(v, d, out + j, lanes);
    });
  }
}

// One row; adds its terms of dy h and of dy to sum_weight and sum_bias, where these are not null. A number added to all
// g changes nothing, since the h of a row add up to 0: taking away the first makes sums of equal g exact.
template <NormMask kMask>
HWY_INLINE void BackwardRow(std::size_t n, const LayerNormArrays& a, const RowFactors& factors, std::size_t at) {
  const hn::ScalableTag<float> d;
  const float* HWY_RESTRICT in = a.x + at;
  const auto passed = [&](std::size_t j, hn::Vec<decltype(d)> h, auto lanes) HWY_ATTR {
    const auto g = load(d, a.dy + at + j, lanes);
    if constexpr (kMask == NormMask::none)
      return g;
    else if constexpr (kMask == NormMask::computed)
      return PositivePart(d, Affine(d, a, h, j, lanes), g);
    else
      return PositivePart(d, load(d, a.y + at + j, lanes), g);
  };
  const FirstLanes one{1};
  const float first_passed = hn::GetLane(passed(0, factors.Normalize(d, load(d, in, one)), one));
  const auto first = hn::Set(d, a.weight == nullptr ? first_passed : first_passed * a.weight[0]);
  // What a fused product leaves of g - first where g is the first.
  const auto rest =
      a.weight == nullptr ? hn::Zero(d) : hn::MulSub(hn::Set(d, first_passed), hn::Set(d, a.weight[0]), first);
  const auto centred = [&](std::size_t j, hn::Vec<decltype(d)> g, auto lanes) HWY_ATTR {
    return a.weight == nullptr ? hn::Sub(g, first) : hn::MulSub(g, load(d, a.weight + j, lanes), first);
  };
  // What has passed is kept for the second loop, in dx itself where nobody else asks for it.
  float* const kept = a.dresidual != nullptr                        ? a.dresidual + at
                      : kMask == NormMask::none || a.out == nullptr ? nullptr
                                                                    : a.out + at;
  const auto sums = SumsOf<2>(d, n, [&](std::size_t j, auto lanes, auto& s) HWY_ATTR {
    const auto h = only(d, factors.Normalize(d, load(d, in + j, lanes)), hn::Zero(d), lanes);
    const auto g = passed(j, h, lanes);
    const auto c = only(d, hn::Sub(centred(j, g, lanes), rest), hn::Zero(d), lanes);
    s[0] = hn::Add(s[0], c);
    s[1] = hn::MulAdd(c, h, s[1]);
    if (kept != nullptr) store(g, d, kept + j, lanes);
    if (a.sum_weight != nullptr) store(hn::MulAdd(g, h, load(d, a.sum_weight + j, lanes)), d, a.sum_weight + j, lanes);
    if (a.sum_bias != nullptr) store(hn::Add(g, load(d, a.sum_bias + j, lanes)), d, a.sum_bias + j, lanes);
  });
  if (a.out == nullptr) return;
  float* const out = a.out + at;
  const float* const gradient = kept == nullptr ? a.dy + at : kept;
  const auto mean = hn::Add(rest, hn::Set(d, static_cast<float>(sums[0] / static_cast<double>(n))));
  const auto slope = hn::Set(d, static_cast<float>(sums[1] / static_cast<double>(n)));
  const auto rstd = hn::Set(d, factors.rstd), scale = hn::Set(d, factors.scale);
  for_lanes(d, n, [&](std::size_t j, auto lanes) HWY_ATTR {
    const auto h = factors.Normalize(d, load(d, in + j, lanes));
    const auto c = hn::Sub(centred(j, load(d, gradient + j, lanes), lanes), mean);
    store(hn::Mul(hn::Mul(hn::NegMulAdd(h, slope, c), rstd), scale), d, out + j, lanes);
  });
}

void LayerNormBackward(const NormDims& dims, const LayerNormArrays& a, NormMask mask, const double* HWY_RESTRICT stats,
                       std::size_t begin, std::size_t end) {
  WithMask(mask, [&](auto constant) HWY_ATTR {
    for (std::size_t row = begin; row < end; ++row)
      BackwardRow<decltype(constant)::value>(dims.n, a, RowFactors(stats[2 * row], stats[2 * row + 1]), row * dims.n);
  });
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {
namespace {

HWY_EXPORT(LayerNormForward);
HWY_EXPORT(LayerNormBackward);

// out += the sum of the groups' partial sums [groups, n], which lie `stride` apart.
void merge(const float* sums, std::size_t groups, std::size_t stride, std::span<float> out) {
  for (std::size_t j = 0; j < out.size(); ++j) {
    double sum = 0;
    for (std::size_t i = 0; i < groups; ++i) sum += static_cast<double>(sums[i * stride + j]);
    out[j] = static_cast<float>(static_cast<double>(out[j]) + sum);
  }
}

}  // namespace

void layer_norm_forward(const Device& device, const NormDims& dims, std::span<const float> x,
                        std::span<const float> weight, std::span<const float> bias, std::span<const float> residual,
                        std::span<float> y, std::span<double> stats) {
  if (y.empty()) return;
  const LayerNormArrays arrays{.x = x.data(),
                               .weight = or_null(weight),
                               .bias = or_null(bias),
                               .residual = or_null(residual),
                               .y = nullptr,
                               .dy = nullptr,
                               .out = y.data(),
                               .dresidual = nullptr,
                               .sum_weight = nullptr,
                               .sum_bias = nullptr};
  parallel_for(device.pool, dims.rows, std::max<std::size_t>(1, kGrain / dims.n),
               [&](std::size_t begin, std::size_t end) {
                 TAPESTRY_CALL(device.target, LayerNormForward)(dims, arrays, stats.data(), begin, end);
               });
}

void layer_norm_backward(const Device& device, const NormDims& dims, std::span<const float> x,
                         std::span<const float> weight, std::span<const float> bias, std::span<const double> stats,
                         std::span<const float> y, std::span<const float> dy, std::span<float> dx,
                         std::span<float> dweight, std::span<float> dbias, std::span<float> dresidual) {
  if (x.empty()) return;
  const std::size_t n = dims.n;
  const std::size_t rows = std::clamp<std::size_t>(8 * kGrain / n, 4, 64);  // whose sums over rows are made in float
  const std::size_t groups = (dims.rows + rows - 1) / rows;
  const bool summed = !dweight.empty() || !dbias.empty();
  const Block block = summed ? device.arena.allocate(groups * 2 * n * sizeof(float)) : Block();
  float* sums = summed ? reinterpret_cast<float*>(block.data()) : nullptr;
  const NormMask mask = mask_of(dims.relu, y);
  parallel_for(device.pool, groups, std::max<std::size_t>(1, kGrain / (rows * n)),
               [&](std::size_t begin, std::size_t end) {
                 for (std::size_t group = begin; group < end; ++group) {
                   float* own = summed ? sums + group * 2 * n : nullptr;
                   if (summed) std::fill(own, own + 2 * n, 0.0f);
                   const LayerNormArrays arrays{.x = x.data(),
                                                .weight = or_null(weight),
                                                .bias = or_null(bias),
                                                .residual = nullptr,
                                                .y = or_null(y),
                                                .dy = dy.data(),
                                                .out = or_null(dx),
                                                .dresidual = or_null(dresidual),
                                                .sum_weight = dweight.empty() ? nullptr : own,
                                                .sum_bias = dbias.empty() ? nullptr : own + n};
                   TAPESTRY_CALL(device.target, LayerNormBackward)
                   (dims, arrays, mask, stats.data(), group * rows, std::min(dims.rows, (group + 1) * rows));
                 }
               });
  merge(sums, groups, 2 * n, dweight);
  if (!dbias.empty()) merge(sums + n, groups, 2 * n, dbias);
}

}  // namespace tapestry::kernels
#endif
