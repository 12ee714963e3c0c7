#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

namespace tapestry::kernels {

// A weight [outer, features, inner] whose features are scaled alone, centered or not.
struct WeightNormDims {
  std::size_t outer = 1, features = 1, inner = 1;
  bool center = false;
  double epsilon = 1e-12;
};

// w, dy and dw [outer, features, inner], gain and dgain [features], stats [3, features]; gain, dw and dgain may be
// empty.
template <class T>
struct WeightNormBackward {
  std::span<const T> w{}, gain{};
  std::span<const double> stats{};
  std::span<const T> dy{};
  std::span<T> dw{}, dgain{};
};

namespace reference {

// What features need, [3, features]: y = (w - mean) rstd gain; slope is 0 where rstd is a constant, else 1.
template <class Number>
struct WeightStats {
  explicit WeightStats(std::span<Number> all)
      : mean(all.data()), rstd(mean + all.size() / 3), slope(rstd + all.size() / 3) {}
  Number *mean, *rstd, *slope;
};

// Calls body(f, i) for the elements i of the features f in [begin, end), in the order of memory.
template <class Body>
void for_features(const WeightNormDims& dims, std::size_t begin, std::size_t end, const Body& body) {
  for (std::size_t o = 0; o < dims.outer; ++o)
    for (std::size_t f = begin; f < end; ++f)
      for (std::size_t k = 0; k < dims.inner; ++k) body(f, (o * dims.features + f) * dims.inner + k);
}

// See kernels/weight_norm.h; for the features in [begin, end).
template <class T>
void weight_stats(const WeightNormDims& dims, std::span<const T> w, const WeightStats<double>& stats, std::size_t begin,
                  std::size_t end) {
  const double count = static_cast<double>(dims.outer * dims.inner);
  const auto first = [&](std::size_t f) { return static_cast<double>(w[f * dims.inner]); };
  for (std::size_t f = begin; f < end; ++f) stats.mean[f] = stats.rstd[f] = 0;
  if (dims.center) {
    for_features(dims, begin, end,
                 [&](std::size_t f, std::size_t i) { stats.mean[f] += static_cast<double>(w[i]) - first(f); });
    for (std::size_t f = begin; f < end; ++f) stats.mean[f] = first(f) + stats.mean[f] / count;
  }
  for_features(dims, begin, end, [&](std::size_t f, std::size_t i) {
    const double c = static_cast<double>(w[i]) - stats.mean[f];
    stats.rstd[f] += c * c;
  });
  for (std::size_t f = begin; f < end; ++f) {
    const double squares = stats.rstd[f];
    stats.slope[f] = dims.center && squares <= dims.epsilon ? 0 : 1;
    stats.rstd[f] = 1 / std::sqrt(dims.center ? std::max(squares, dims.epsilon) : squares + dims.epsilon);
  }
}

template <class T>
void weight_norm_forward(const WeightNormDims& dims, std::span<const T> w, std::span<const T> gain,
                         const WeightStats<const double>& stats, std::span<T> y, std::size_t begin, std::size_t end) {
  for_features(dims, begin, end, [&](std::size_t f, std::size_t i) {
    const double c = (static_cast<double>(w[i]) - stats.mean[f]) * stats.rstd[f];
    y[i] = static_cast<T>(gain.empty() ? c : c * static_cast<double>(gain[f]));
  });
}

// sums [features, 2] are scratch.
template <class T>
void weight_norm_backward(const WeightNormDims& dims, const WeightNormBackward<T>& a, std::span<double> sums,
                          std::size_t begin, std::size_t end) {
  const WeightStats<const double> stats(a.stats);
  const double count = static_cast<double>(dims.outer * dims.inner);
  const auto c = [&](std::size_t f, std::size_t i) {
    return (static_cast<double>(a.w[i]) - stats.mean[f]) * stats.rstd[f];
  };
  for (std::size_t f = begin; f < end; ++f) sums[2 * f] = sums[2 * f + 1] = 0;
  for_features(dims, begin, end, [&](std::size_t f, std::size_t i) {
    const double g = static_cast<double>(a.dy[i]);
    sums[2 * f] += g;
    sums[2 * f + 1] += g * c(f, i);
  });
  for (std::size_t f = begin; f < end && !a.dgain.empty(); ++f)
    a.dgain[f] = static_cast<T>(static_cast<double>(a.dgain[f]) + sums[2 * f + 1]);
  if (a.dw.empty()) return;
  for_features(dims, begin, end, [&](std::size_t f, std::size_t i) {
    const double mean = dims.center ? sums[2 * f] / count : 0;
    const double scale = stats.rstd[f] * (a.gain.empty() ? 1.0 : static_cast<double>(a.gain[f]));
    a.dw[i] =
        static_cast<T>(scale * (static_cast<double>(a.dy[i]) - mean - stats.slope[f] * c(f, i) * sums[2 * f + 1]));
  });
}

}  // namespace reference
}  // namespace tapestry::kernels
