#include <algorithm>
#include <array>

#include "kernels/norm/mask.h"
#include "kernels/norm/rows.h"
#include "kernels/norm_rows.h"
#include "kernels/simd/or_null.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm/rows_backward.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/norm/mask-inl.h"
#include "kernels/norm/rows-inl.h"
#include "kernels/norm/stream-inl.h"
#include "kernels/simd/sums-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

constexpr std::size_t kRowsAtOnce = 4;         // which share what they add to the gradients of weight and bias
inline constexpr std::size_t kShortRow = 512;  // longer ones are read one after the other, in the order of memory

// The gradients of one row, at `at`, as both loops of backward need them. Where a mean is taken away, a number added to
// all g changes nothing, since the h of a row add up to 0: taking away the first makes sums of equal g exact.
template <NormMask kMask, bool kWeight>
struct RowGradients {
  using D = hn::ScalableTag<float>;
  using V = hn::Vec<D>;

  HWY_INLINE RowGradients(const RowNormArrays& arrays, const double* stats, const RowNormDims& dims, std::size_t row)
      : a(arrays), factors(stats[2 * row], stats[2 * row + 1]), at(row * dims.n) {
    if (!dims.center) return;
    const FirstLanes one{1};
    const float passed = hn::GetLane(Passed(0, Normalized(0, one), one));
    first = kWeight ? passed * a.weight[0] : passed;
    if constexpr (kWeight)
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
    else if constexpr (kMask == NormMask::output)
      return PositivePart(d, load(d, a.y + at + j, lanes), g);
    else if (a.bias == nullptr)
      return PositivePart(d, Affine<kWeight, false>(d, a, h, j, lanes), g);
    else
      return PositivePart(d, Affine<kWeight, true>(d, a, h, j, lanes), g);
  }
  // g weight - first; `rest` is what a fused product leaves where g weight is the first.
  template <class Lanes>
  HWY_INLINE V Centred(V g, std::size_t j, Lanes lanes) const {
    const D d;
    if constexpr (kWeight)
      return hn::Sub(hn::MulSub(g, load(d, a.weight + j, lanes), hn::Set(d, first)), hn::Set(d, rest));
    else
      return hn::Sub(g, hn::Set(d, first));
  }

  const RowNormArrays& a;
  RowFactors factors;
  std::size_t at;
  float first = 0, rest = 0;
};

// Sums over kRows rows, which share what they add to sum_weight and sum_bias: of what is centred, and of that times h.
// dresidual gets what has passed.
template <std::size_t kRows, class Rows>
HWY_INLINE void SumRows(std::size_t n, const RowNormArrays& a, const Rows& rows, double (&totals)[kRows][2]) {
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
        const V c = only(d, rows[k].Centred(g, j, lanes), hn::Zero(d), lanes);
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

// dx = rstd (c - mean - h slope), where the mean and the slope are those of c and of c h.
template <NormMask kMask, bool kStream, bool kWeight, std::size_t kRows>
HWY_INLINE void BackwardRows(const RowNormDims& dims, const RowNormArrays& a,
                             const std::array<RowGradients<kMask, kWeight>, kRows>& rows) {
  const hn::ScalableTag<float> d;
  double totals[kRows][2] = {};
  SumRows(dims.n, a, rows, totals);
  if (a.out == nullptr) return;
  for (std::size_t k = 0; k < kRows; ++k) {
    const auto& row = rows[k];
    const float factor = row.factors.rstd * row.factors.scale;
    const double share = -static_cast<double>(factor) / static_cast<double>(dims.n);
    const auto scale = hn::Set(d, factor), slope = hn::Set(d, static_cast<float>(share * totals[k][1])),
               offset = hn::Set(d, static_cast<float>(dims.center ? share * totals[k][0] : 0));
    for_lanes(d, dims.n, [&](std::size_t j, auto lanes) HWY_ATTR {
      const auto h = row.factors.Normalize(d, load(d, a.x + row.at + j, lanes));
      const auto c = row.Centred(row.Passed(j, h, lanes), j, lanes);
      Write<kStream>(d, hn::MulAdd(c, scale, hn::MulAdd(h, slope, offset)), a.out + row.at + j, lanes);
    });
  }
}

void GradientRows(const RowNormDims& dims, const RowNormArrays& a, NormMask mask, const double* HWY_RESTRICT stats,
                  std::size_t begin, std::size_t end) {
  WithMask(mask, [&](auto constant) HWY_ATTR {
    WithStream(a.stream, [&](auto stream) HWY_ATTR {
      WithConstant(a.weight != nullptr, [&](auto weight) HWY_ATTR {
        constexpr NormMask kMask = decltype(constant)::value;
        using Row = RowGradients<kMask, decltype(weight)::value>;
        std::size_t row = begin;
        for (; row + kRowsAtOnce <= end && dims.n <= kShortRow; row += kRowsAtOnce)
          BackwardRows<kMask, decltype(stream)::value, decltype(weight)::value, kRowsAtOnce>(
              dims, a,
              {Row(a, stats, dims, row), Row(a, stats, dims, row + 1), Row(a, stats, dims, row + 2),
               Row(a, stats, dims, row + 3)});
        for (; row < end; ++row)
          BackwardRows<kMask, decltype(stream)::value, decltype(weight)::value, 1>(dims, a, {Row(a, stats, dims, row)});
      });
    });
  });
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {
namespace {

HWY_EXPORT(GradientRows);

// out += the sum of the groups' partial sums [groups, n], which lie `stride` apart.
void merge(const float* sums, std::size_t groups, std::size_t stride, std::span<float> out) {
  constexpr std::size_t kAtOnce = 64;
  for (std::size_t begin = 0; begin < out.size(); begin += kAtOnce) {
    const std::size_t count = std::min(kAtOnce, out.size() - begin);
    std::array<double, kAtOnce> totals{};
    for (std::size_t i = 0; i < groups; ++i)
      for (std::size_t j = 0; j < count; ++j) totals[j] += static_cast<double>(sums[i * stride + begin + j]);
    for (std::size_t j = 0; j < count; ++j)
      out[begin + j] = static_cast<float>(static_cast<double>(out[begin + j]) + totals[j]);
  }
}

}  // namespace

void row_norm_backward(const Device& device, const RowNormDims& dims, const RowNormBackward<float>& a) {
  if (a.x.empty()) return;
  const std::size_t n = dims.n;
  const std::size_t rows = std::clamp<std::size_t>(8 * kGrain / n, 4, 64);  // whose sums over rows are made in float
  const std::size_t groups = (dims.rows + rows - 1) / rows;
  const bool summed = !a.dweight.empty() || !a.dbias.empty();
  const Block block = summed ? device.arena.allocate(groups * 2 * n * sizeof(float)) : Block();
  float* sums = summed ? reinterpret_cast<float*>(block.data()) : nullptr;
  const NormMask mask = mask_of(dims.relu, a.y);
  const bool stream = norm_streams(a.dx, n);
  parallel_for(device.pool, groups, std::max<std::size_t>(1, kGrain / (rows * n)),
               [&](std::size_t begin, std::size_t end) {
                 for (std::size_t group = begin; group < end; ++group) {
                   float* own = summed ? sums + group * 2 * n : nullptr;
                   if (summed) std::fill(own, own + 2 * n, 0.0f);
                   const RowNormArrays arrays{.x = a.x.data(),
                                              .weight = or_null(a.weight),
                                              .bias = or_null(a.bias),
                                              .y = or_null(a.y),
                                              .dy = a.dy.data(),
                                              .out = or_null(a.dx),
                                              .dresidual = or_null(a.dresidual),
                                              .sum_weight = a.dweight.empty() ? nullptr : own,
                                              .sum_bias = a.dbias.empty() ? nullptr : own + n,
                                              .stream = stream};
                   TAPESTRY_CALL(device.target, GradientRows)
                   (dims, arrays, mask, a.stats.data(), group * rows, std::min(dims.rows, (group + 1) * rows));
                 }
               });
  merge(sums, groups, 2 * n, a.dweight);
  if (!a.dbias.empty()) merge(sums + n, groups, 2 * n, a.dbias);
}

}  // namespace tapestry::kernels
#endif
