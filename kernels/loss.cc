#include "kernels/loss.h"

#include <algorithm>
#include <cmath>

#include "kernels/runtime/sum_pieces.h"
#include "kernels/simd/or_null.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/loss.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/simd/exp-inl.h"
#include "kernels/simd/lanes-inl.h"
#include "kernels/simd/sums-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

// The rows [begin, end) of cross_entropy_forward(); `all` is the sum of the class weights.
double LossOfRows(const CrossEntropyDims& dims, const float* x, const std::int64_t* labels, const float* weight,
                  double all, float* stats, float* losses, std::size_t begin, std::size_t end) {
  const hn::ScalableTag<float> d;
  const std::size_t n = dims.classes;
  const double s = dims.label_smoothing;
  double total = 0;
  for (std::size_t row = begin; row < end; ++row) {
    const float* HWY_RESTRICT in = x + row * n;
    const float peak = Highest(d, in, n);
    const auto top = hn::Set(d, peak);
    const double sum = SumTerms(
        d, n, [&](std::size_t i, auto lanes) HWY_ATTR { return ExpOrNaN(d, hn::Sub(load(d, in + i, lanes), top)); });
    double loss = 0;
    if (labels[row] != dims.ignore_index) {
      const std::size_t y = static_cast<std::size_t>(labels[row]);
      const double log_sum = std::log(sum), hit = weight == nullptr ? 1.0 : static_cast<double>(weight[y]);
      loss = (1 - s) * hit * (log_sum - (static_cast<double>(in[y]) - static_cast<double>(peak)));
      if (s > 0)
        loss += s / static_cast<double>(n) * (all * log_sum - SumTerms(d, n, [&](std::size_t i, auto lanes) HWY_ATTR {
                                                const auto v = hn::Sub(load(d, in + i, lanes), top);
                                                return weight == nullptr ? v : hn::Mul(v, load(d, weight + i, lanes));
                                              }));
    }
    stats[2 * row] = peak;
    stats[2 * row + 1] = static_cast<float>(1 / sum);
    if (losses != nullptr) losses[row] = static_cast<float>(loss);
    total += loss;
  }
  return total;
}

// The rows [begin, end) of cross_entropy_backward().
void GradientOfRows(const CrossEntropyDims& dims, const float* x, const std::int64_t* labels, const float* weight,
                    double all, const float* stats, const float* dy, double scale, float* dx, std::size_t begin,
                    std::size_t end) {
  const hn::ScalableTag<float> d;
  const std::size_t n = dims.classes;
  const double s = dims.label_smoothing, share = s / static_cast<double>(std::max<std::size_t>(n, 1));
  for (std::size_t row = begin; row < end; ++row) {
    const float* HWY_RESTRICT in = x + row * n;
    float* HWY_RESTRICT out = dx + row * n;
    if (labels[row] == dims.ignore_index) {
      std::fill(out, out + n, 0.0f);
      continue;
    }
    const std::size_t y = static_cast<std::size_t>(labels[row]);
    const double factor = dy == nullptr ? scale : scale * static_cast<double>(dy[row]);
    const double hit = factor * (1 - s) * (weight == nullptr ? 1.0 : static_cast<double>(weight[y]));
    const auto top = hn::Set(d, stats[2 * row]);
    const auto slope =
        hn::Set(d, static_cast<float>((hit + factor * share * all) * static_cast<double>(stats[2 * row + 1])));
    const auto floor = hn::Set(d, static_cast<float>(factor * share));
    for_lanes(d, n, [&](std::size_t i, auto lanes) HWY_ATTR {
      const auto drop = weight == nullptr ? floor : hn::Mul(floor, load(d, weight + i, lanes));
      const auto e = ExpOrNaN(d, hn::Sub(load(d, in + i, lanes), top));
      store(s > 0 ? hn::MulSub(e, slope, drop) : hn::Mul(e, slope), d, out + i, lanes);
    });
    out[y] -= static_cast<float>(hit);
  }
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {
namespace {

HWY_EXPORT(LossOfRows);
HWY_EXPORT(GradientOfRows);

std::size_t rows_grain(const CrossEntropyDims& dims) {
  return std::max<std::size_t>(1, kGrain / std::max<std::size_t>(dims.classes, 1));
}

}  // namespace

double cross_entropy_forward(const Device& device, const CrossEntropyDims& dims, const CrossEntropyForward<float>& a) {
  const double all = reference::weight_sum(dims, a.weight);
  return sum_pieces(device, dims.rows, rows_grain(dims), [&](std::size_t begin, std::size_t end) {
    return TAPESTRY_CALL(device.target, LossOfRows)(dims, a.x.data(), a.labels.data(), or_null(a.weight), all,
                                                    a.stats.data(), or_null(a.losses), begin, end);
  });
}

void cross_entropy_backward(const Device& device, const CrossEntropyDims& dims, const CrossEntropyBackward<float>& a) {
  const double all = reference::weight_sum(dims, a.weight);
  parallel_for(device.pool, dims.rows, rows_grain(dims), [&](std::size_t begin, std::size_t end) {
    TAPESTRY_CALL(device.target, GradientOfRows)
    (dims, a.x.data(), a.labels.data(), or_null(a.weight), all, a.stats.data(), or_null(a.dy), a.scale, a.dx.data(),
     begin, end);
  });
}

}  // namespace tapestry::kernels
#endif
