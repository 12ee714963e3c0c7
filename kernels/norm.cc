#include "kernels/norm.h"

#include <algorithm>
#include <array>
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
#include "kernels/norm_stream-inl.h"
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

inline constexpr std::size_t kRowsAtOnce = 4;
inline constexpr std::size_t kShortRow = 512;  // longer ones are read one after the other, in the order of memory

// Statistics of some rows first, then their results: what one row waits for is computed beside the others.
template <bool kStream>
HWY_INLINE void ForwardRows(const NormDims& dims, const LayerNormArrays& a, double* HWY_RESTRICT stats,
                            std::size_t begin, std::size_t end) {
  const hn::ScalableTag<float> d;
  for (std::size_t row = begin; row < end; ++row) {
    const reference::Moments m = RowMoments(d, a.x + row * dims.n, dims.n, dims.epsilon);
    stats[2 * row] = m.mean;
    stats[2 * row + 1] = 1 / std::sqrt(m.variance + dims.epsilon);
  }
  for (std::size_t row = begin; row < end; ++row) {
    const float* HWY_RESTRICT in = a.x + row * dims.n;
    const float* HWY_RESTRICT residual = a.residual == nullptr ? nullptr : a.residual + row * dims.n;
    float* HWY_RESTRICT out = a.out + row * dims.n;
    const RowFactors factors(stats[2 * row], stats[2 * row + 1]);
    for_lanes(d, dims.n, [&](std::size_t j, auto lanes) HWY_ATTR {
      auto v = Affine(d, a, factors.Normalize(d, load(d, in + j, lanes)), j, lanes);
      if (residual != nullptr) v = hn::Add(v, load(d, residual + j, lanes));
      if (dims.relu) v = PositivePart(d, v, v);
      Write<kStream>(d, v, out + j, lanes);
    });
  }
}

void LayerNormForward(const NormDims& dims, const LayerNormArrays& a, double* HWY_RESTRICT stats, std::size_t begin,
                      std::size_t end) {
  WithStream(a.stream, [&](auto stream) HWY_ATTR {
    for (std::size_t row = begin; row < end; row += kRowsAtOnce)
      ForwardRows<decltype(stream)::value>(dims, a, stats, row, std::min(end, row + kRowsAtOnce));
  });
}

// The gradients of one row, at `at`, as both loops of backward need them. A number added to all g changes nothing,
// since the h of a row add up to 0: taking away the first makes sums of equal g exact.
template <NormMask kMask>
struct RowGradients {
  using D = hn::ScalableTag<float>;
  using V = hn::Vec<D>;

  HWY_INLINE RowGradients(const LayerNormArrays& arrays, const double* stats, std::size_t n, std::size_t row)
      : a(arrays), factors(stats[2 * row], stats[2 * row + 1]), at(row * n) {
    const FirstLanes one{1};
    const float passed = hn::GetLane(Passed(0, Normalized(0, one), one));
    first = a.weight == nullptr ? passed : passed * a.weight[0];
    if (a.weight != nullptr)
      rest = hn::GetLane(hn::MulSub(hn::Set(D(), passed), hn::Set(D(), a.weight[0]), hn::Set(D(), first)));
  }

  template <class Lanes>
  HWY_INLINE V Normalized(std::size_t j, Lanes lanes) const {
    return factors.Normalize(D(), ReadAhead(D(), a.x + at + j, lanes));
  }
  // What of dy passes the ReLU.
  template <class Lanes>
  HWY_INLINE V Passed(std::size_t j, V h, Lanes lanes) const {
    const D d;
    const V g = ReadAhead(d, a.dy + at + j, lanes);
    if constexpr (kMask == NormMask::none)
      return g;
    else if constexpr (kMask == NormMask::computed)
      return PositivePart(d, Affine(d, a, h, j, lanes), g);
    else
      return PositivePart(d, load(d, a.y + at + j, lanes), g);
  }
  // g weight - first; `rest` more where g weight is the first, as a fused product leaves it.
  template <class Lanes>
  HWY_INLINE V Centred(V g, std::size_t j, Lanes lanes) const {
    const D d;
    return a.weight == nullptr ? hn::Sub(g, hn::Set(d, first))
                               : hn::MulSub(g, load(d, a.weight + j, lanes), hn::Set(d, first));
  }

  const LayerNormArrays& a;
  RowFactors factors;
  std::size_t at;
  float first = 0, rest = 0;
};

// Sums over kRows rows, which share what they add to sum_weight and sum_bias: of what is centred, and of that times h.
// dresidual gets what has passed.
template <std::size_t kRows, class Rows>
HWY_INLINE void SumRows(std::size_t n, const LayerNormArrays& a, const Rows& rows, double (&totals)[kRows][2]) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  const std::size_t block = kSumLength * hn::Lanes(d);
  for (std::size_t begin = 0; begin < n; begin += block) {
    V sums[kRows][2];
    for (auto& pair : sums) pair[0] = pair[1] = hn::Zero(d);
    for_lanes(d, std::min(n - begin, block), [&](std::size_t i, auto lanes) HWY_ATTR {
      const std::size_t j = begin + i;
      V products = hn::Zero(d), gradients = hn::Zero(d);
      for (std::size_t k = 0; k < kRows; ++k) {
        const V h = only(d, rows[k].Normalized(j, lanes), hn::Zero(d), lanes);
        const V g = rows[k].Passed(j, h, lanes);
        const V c = only(d, hn::Sub(rows[k].Centred(g, j, lanes), hn::Set(d, rows[k].rest)), hn::Zero(d), lanes);
        sums[k][0] = hn::Add(sums[k][0], c);
        sums[k][1] = hn::MulAdd(c, h, sums[k][1]);
        products = hn::MulAdd(g, h, products);
        gradients = hn::Add(gradients, g);
        if (a.dresidual != nullptr) store(g, d, a.dresidual + rows[k].at + j, lanes);
      }
      if (a.sum_weight != nullptr)
        store(hn::Add(products, load(d, a.sum_weight + j, lanes)), d, a.sum_weight + j, lanes);
      if (a.sum_bias != nullptr) store(hn::Add(gradients, load(d, a.sum_bias + j, lanes)), d, a.sum_bias + j, lanes);
    });
    for (std::size_t k = 0; k < kRows; ++k)
      for (std::size_t i = 0; i < 2; ++i)
        totals[k][i] += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sums[k][i])));
  }
}

template <NormMask kMask, bool kStream, std::size_t kRows>
HWY_INLINE void BackwardRows(std::size_t n, const LayerNormArrays& a,
                             const std::array<RowGradients<kMask>, kRows>& rows) {
  const hn::ScalableTag<float> d;
  double totals[kRows][2] = {};
  SumRows(n, a, rows, totals);
  if (a.out == nullptr) return;
  for (std::size_t k = 0; k < kRows; ++k) {
    const RowGradients<kMask>& row = rows[k];
    const auto mean = hn::Set(d, row.rest + static_cast<float>(totals[k][0] / static_cast<double>(n)));
    const auto slope = hn::Set(d, static_cast<float>(totals[k][1] / static_cast<double>(n)));
    const auto rstd = hn::Set(d, row.factors.rstd), scale = hn::Set(d, row.factors.scale);
    for_lanes(d, n, [&](std::size_t j, auto lanes) HWY_ATTR {
      const auto h = row.factors.Normalize(d, load(d, a.x + row.at + j, lanes));
      const auto c = hn::Sub(row.Centred(row.Passed(j, h, lanes), j, lanes), mean);
      Write<kStream>(d, hn::Mul(hn::Mul(hn::NegMulAdd(h, slope, c), rstd), scale), a.out + row.at + j, lanes);
    });
  }
}

void LayerNormBackward(const NormDims& dims, const LayerNormArrays& a, NormMask mask, const double* HWY_RESTRICT stats,
                       std::size_t begin, std::size_t end) {
  const std::size_t n = dims.n;
  WithMask(mask, [&](auto constant) HWY_ATTR {
    WithStream(a.stream, [&](auto stream) HWY_ATTR {
      constexpr NormMask kMask = decltype(constant)::value;
      constexpr bool kStream = decltype(stream)::value;
      using Row = RowGradients<kMask>;
      std::size_t row = begin;
      for (; row + kRowsAtOnce <= end && n <= kShortRow; row += kRowsAtOnce)
        BackwardRows<kMask, kStream, kRowsAtOnce>(
            n, a,
            {Row(a, stats, n, row), Row(a, stats, n, row + 1), Row(a, stats, n, row + 2), Row(a, stats, n, row + 3)});
      for (; row < end; ++row) BackwardRows<kMask, kStream, 1>(n, a, {Row(a, stats, n, row)});
    });
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
                               .sum_bias = nullptr,
                               .stream = norm_streams(y, dims.n)};
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
  const bool stream = norm_streams(dx, n);
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
                                                .sum_bias = dbias.empty() ? nullptr : own + n,
                                                .stream = stream};
                   TAPESTRY_CALL(device.target, LayerNormBackward)
                   (dims, arrays, mask, stats.data(), group * rows, std::min(dims.rows, (group + 1) * rows));
                 }
               });
  merge(sums, groups, 2 * n, dweight);
  if (!dbias.empty()) merge(sums + n, groups, 2 * n, dbias);
}

}  // namespace tapestry::kernels
#endif
