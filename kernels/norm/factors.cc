#include "kernels/norm/factors.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm/factors.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/simd/lanes-inl.h"

// Loops over channels are written for the compiler's vectors: they are short, and made once for each sample.
HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

// Positions that are looked at before the first pass: spread over the sample.
struct Probes {
  explicit Probes(const ChannelNormDims& dims)
      : count(std::min<std::size_t>(dims.positions, 16)),
        step(dims.positions / count * dims.channels),
        first(dims.positions / count / 2 * dims.channels) {}
  std::size_t count, step, first;
};

void FirstCenters(const ChannelNormDims& dims, const float* HWY_RESTRICT x, float* HWY_RESTRICT center) {
  const hn::ScalableTag<float> d;
  const Probes probes(dims);
  const auto count = hn::Set(d, static_cast<float>(probes.count));
  for_lanes(d, dims.channels, [&](std::size_t c, auto lanes) HWY_ATTR {
    const auto first = load(d, x + probes.first + c, lanes);
    auto sum = hn::Zero(d);
    for (std::size_t i = 1; i < probes.count; ++i)
      sum = hn::Add(sum, hn::Sub(load(d, x + probes.first + i * probes.step + c, lanes), first));
    store(hn::Add(first, hn::Div(sum, count)), d, center + c, lanes);
  });
}

bool MergeMoments(const ChannelNormDims& dims, const double* HWY_RESTRICT sums, const float* HWY_RESTRICT center,
                  double* HWY_RESTRICT stats, double* HWY_RESTRICT scratch) {
  const std::size_t size = dims.group_size(), channels = dims.channels;
  const double share = 1 / static_cast<double>(dims.positions), width = static_cast<double>(size);
  double* HWY_RESTRICT means = scratch;
  double* HWY_RESTRICT squares = scratch + channels;  // around the mean of the channel
  for (std::size_t c = 0; c < channels; ++c) {
    const double off = sums[c] * share;
    means[c] = static_cast<double>(center[c]) + off;
    squares[c] = sums[channels + c] * share - off * off;
  }
  bool exact = true;
  for (std::size_t g = 0; g < dims.groups; ++g) {
    double mean = 0, variance = 0, farthest = 0;
    for (std::size_t c = g * size; c < (g + 1) * size; ++c) mean += means[c];
    mean /= width;
    for (std::size_t c = g * size; c < (g + 1) * size; ++c) {
      const double apart = means[c] - mean, off = sums[c] * share;
      variance += squares[c] + apart * apart;
      farthest = std::max(farthest, off * off);
    }
    variance /= width;
    stats[2 * g] = mean;
    stats[2 * g + 1] = variance < 0 ? 0 : variance;
    // Around a center five deviations away squares are 26 times the variance: less than five bits are lost.
    exact = exact && !(farthest > 25 * (stats[2 * g + 1] + dims.epsilon));
  }
  return exact;
}

void ForwardFactors(const ChannelNormDims& dims, const float* HWY_RESTRICT weight, const float* HWY_RESTRICT bias,
                    const double* HWY_RESTRICT stats, const NormFactors& factors) {
  const std::size_t size = dims.group_size();
  float *HWY_RESTRICT center = factors.center, *HWY_RESTRICT scale = factors.scale,
                      *HWY_RESTRICT offset = factors.offset;
  double *HWY_RESTRICT rstd = factors.rstd, *HWY_RESTRICT low = factors.low;
  for (std::size_t g = 0; g < dims.groups; ++g) {
    const double mean = stats[2 * g], inverse = 1 / std::sqrt(stats[2 * g + 1] + dims.epsilon);
    const float high = static_cast<float>(mean);
    for (std::size_t c = g * size; c < (g + 1) * size; ++c) {
      center[c] = high;
      low[c] = mean - static_cast<double>(high);
      rstd[c] = inverse;
    }
  }
  for (std::size_t c = 0; c < dims.channels; ++c) {
    const double factor = weight == nullptr ? rstd[c] : rstd[c] * static_cast<double>(weight[c]);
    scale[c] = static_cast<float>(factor);
    offset[c] = static_cast<float>((bias == nullptr ? 0 : static_cast<double>(bias[c])) - low[c] * factor);
  }
}

bool SetShifts(const ChannelNormDims& dims, const float* HWY_RESTRICT dy, float* HWY_RESTRICT shift) {
  const Probes probes(dims);
  std::fill_n(shift, dims.channels, 0.0f);
  if (dims.relu || dims.frozen) return false;
  bool any = false;
  for (std::size_t c = 0; c < dims.channels; ++c) {
    bool equal = std::isfinite(dy[c]);
    for (std::size_t i = 1; i < probes.count && equal; ++i) equal = dy[i * probes.step + c] == dy[c];
    if (equal) shift[c] = dy[c];
    any = any || shift[c] != 0;
  }
  return any;
}

void BackwardFactors(const ChannelNormDims& dims, const float* HWY_RESTRICT weight, double* HWY_RESTRICT sums,
                     const NormFactors& factors, double* HWY_RESTRICT scratch) {
  const std::size_t size = dims.group_size(), channels = dims.channels;
  const double count = static_cast<double>(dims.positions), share = 1 / (count * static_cast<double>(size));
  float *HWY_RESTRICT slopes = factors.slope, *HWY_RESTRICT rest = factors.rest;
  const float* HWY_RESTRICT shift = factors.shift;
  const double *HWY_RESTRICT rstd = factors.rstd, *HWY_RESTRICT low = factors.low;
  double *HWY_RESTRICT products = scratch, *HWY_RESTRICT gradients = scratch + channels;
  double* HWY_RESTRICT weighted = scratch + 2 * channels;  // shifts
  for (std::size_t c = 0; c < channels; ++c) {
    const double w = weight == nullptr ? 1 : static_cast<double>(weight[c]), s = static_cast<double>(shift[c]);
    const double above = sums[channels + c], all = above + count * s;
    sums[channels + c] = all;
    sums[c] = rstd[c] * (sums[c] - low[c] * all);
    products[c] = w * sums[c];
    gradients[c] = w * above;
    weighted[c] = w * s;
  }
  for (std::size_t g = 0; g < dims.groups; ++g) {
    const std::size_t first = g * size;
    double product = 0, gradient = 0;  // of what lies above the shift of the first channel
    for (std::size_t c = first; c < first + size; ++c) {
      product += products[c];
      gradient += gradients[c] + count * (weighted[c] - weighted[first]);
    }
    const double slope = dims.frozen ? 0 : -rstd[first] * rstd[first] * product * share;
    const double mean = dims.frozen ? 0 : gradient * share;
    for (std::size_t c = first; c < first + size; ++c) {
      slopes[c] = static_cast<float>(slope);
      rest[c] = static_cast<float>(rstd[c] * (weighted[c] - weighted[first] - mean) - slope * low[c]);
    }
  }
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {
namespace {

HWY_EXPORT(FirstCenters);
HWY_EXPORT(MergeMoments);
HWY_EXPORT(ForwardFactors);
HWY_EXPORT(SetShifts);
HWY_EXPORT(BackwardFactors);

}  // namespace

void first_centers(Target target, const ChannelNormDims& dims, const float* x, float* center) {
  TAPESTRY_CALL(target, FirstCenters)(dims, x, center);
}
bool merge_moments(Target target, const ChannelNormDims& dims, const double* sums, const float* center, double* stats,
                   double* scratch) {
  return TAPESTRY_CALL(target, MergeMoments)(dims, sums, center, stats, scratch);
}
void forward_factors(Target target, const ChannelNormDims& dims, const float* weight, const float* bias,
                     const double* stats, const NormFactors& factors) {
  TAPESTRY_CALL(target, ForwardFactors)(dims, weight, bias, stats, factors);
}
bool set_shifts(Target target, const ChannelNormDims& dims, const float* dy, float* shift) {
  return TAPESTRY_CALL(target, SetShifts)(dims, dy, shift);
}
void backward_factors(Target target, const ChannelNormDims& dims, const float* weight, double* sums,
                      const NormFactors& factors, double* scratch) {
  TAPESTRY_CALL(target, BackwardFactors)(dims, weight, sums, factors, scratch);
}

}  // namespace tapestry::kernels
#endif
