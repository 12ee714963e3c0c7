#pragma once

#include <cmath>
#include <cstddef>
#include <span>

#include "kernels/dims.h"
#include "kernels/reference/norm_rows.h"

namespace tapestry::kernels::reference {

// Mean and biased variance of one group of channels of one sample, as moments() of a row.
template <class T>
Moments group_moments(const ChannelNormDims& d, const T* x, std::size_t group) {
  const std::size_t size = d.group_size();
  const T* const start = x + group * size;
  const double first = static_cast<double>(start[0]), count = static_cast<double>(d.positions * size);
  const auto sum = [&](const auto& term) {
    double total = 0;
    for (std::size_t p = 0; p < d.positions; ++p)
      for (std::size_t c = 0; c < size; ++c) total += term(static_cast<double>(start[p * d.channels + c]));
    return total;
  };
  const double mean = first + sum([&](double v) { return v - first; }) / count;
  return {mean, sum([&](double v) { return (v - mean) * (v - mean); }) / count};
}

// What is the same for all elements of a channel of a sample.
template <class T>
struct ChannelFactors {
  ChannelFactors(const ChannelNormDims& d, std::span<const T> weight, std::span<const T> bias, const double* stats,
                 std::size_t channel)
      : mean(stats[2 * (channel / d.group_size())]),
        rstd(1 / std::sqrt(stats[2 * (channel / d.group_size()) + 1] + d.epsilon)),
        weight(weight.empty() ? 1 : static_cast<double>(weight[channel])),
        bias(bias.empty() ? 0 : static_cast<double>(bias[channel])) {}
  double h(T x) const { return (static_cast<double>(x) - mean) * rstd; }
  double mean, rstd, weight, bias;
};

// One sample; stats [groups, 2] are given.
template <class T>
void normalize_sample(const ChannelNormDims& d, const T* x, std::span<const T> weight, std::span<const T> bias,
                      const T* residual, const double* stats, T* y) {
  for (std::size_t c = 0; c < d.channels; ++c) {
    const ChannelFactors<T> factors(d, weight, bias, stats, c);
    for (std::size_t i = c; i < d.sample(); i += d.channels) {
      const double v = factors.h(x[i]) * factors.weight + factors.bias +
                       (residual == nullptr ? 0 : static_cast<double>(residual[i]));
      y[i] = static_cast<T>(d.relu && v <= 0 ? 0 : v);
    }
  }
}

// What comes to the norm of one sample from dy: through the ReLU where there is one, by the sign of y, or by that of
// the norm itself where y is nullptr. Calls body(i, channel, gradient, h).
template <class T, class Body>
void for_gradients(const ChannelNormDims& d, const T* x, std::span<const T> weight, std::span<const T> bias,
                   const double* stats, const T* dy, const T* y, const Body& body) {
  for (std::size_t c = 0; c < d.channels; ++c) {
    const ChannelFactors<T> factors(d, weight, bias, stats, c);
    for (std::size_t i = c; i < d.sample(); i += d.channels) {
      const double h = factors.h(x[i]);
      const double v = y == nullptr ? h * factors.weight + factors.bias : static_cast<double>(y[i]);
      body(i, c, d.relu && v <= 0 ? 0 : static_cast<double>(dy[i]), h);
    }
  }
}

// sums [2, channels]: of g h and of g. Writes g to dresidual unless that is nullptr.
template <class T>
void sample_sums(const ChannelNormDims& d, const T* x, std::span<const T> weight, std::span<const T> bias,
                 const double* stats, const T* dy, const T* y, T* dresidual, double* sums) {
  for (std::size_t i = 0; i < 2 * d.channels; ++i) sums[i] = 0;
  for_gradients(d, x, weight, bias, stats, dy, y, [&](std::size_t i, std::size_t c, double g, double h) {
    sums[c] += g * h;
    sums[d.channels + c] += g;
    if (dresidual != nullptr) dresidual[i] = static_cast<T>(g);
  });
}

// dx of one sample, from its sums.
template <class T>
void sample_gradient(const ChannelNormDims& d, const T* x, std::span<const T> weight, std::span<const T> bias,
                     const double* stats, const T* dy, const T* y, const double* sums, T* dx) {
  const std::size_t size = d.group_size();
  const double count = static_cast<double>(d.positions * size);
  const auto w = [&](std::size_t c) { return weight.empty() ? 1 : static_cast<double>(weight[c]); };
  const auto mean_of = [&](const double* of, std::size_t c) {
    double sum = 0;
    for (std::size_t k = c / size * size; k < c / size * size + size && !d.frozen; ++k) sum += w(k) * of[k];
    return sum / count;
  };
  for_gradients(d, x, weight, bias, stats, dy, y, [&](std::size_t i, std::size_t c, double g, double h) {
    const double rstd = 1 / std::sqrt(stats[2 * (c / size) + 1] + d.epsilon);
    dx[i] = static_cast<T>(rstd * (g * w(c) - mean_of(sums + d.channels, c) - h * mean_of(sums, c)));
  });
}

// See kernels/norm_channels.h.
template <class T>
void channel_norm_forward(const ChannelNormDims& d, std::span<const T> x, std::span<const T> weight,
                          std::span<const T> bias, std::span<const T> residual, std::span<T> y,
                          std::span<double> stats) {
  for (std::size_t n = 0; n < d.batch && d.sample() > 0; ++n) {
    double* const own = stats.data() + n * d.groups * 2;
    for (std::size_t g = 0; g < d.groups && !d.frozen; ++g) {
      const Moments m = group_moments(d, x.data() + n * d.sample(), g);
      own[2 * g] = m.mean;
      own[2 * g + 1] = m.variance;
    }
    normalize_sample(d, x.data() + n * d.sample(), weight, bias,
                     residual.empty() ? nullptr : residual.data() + n * d.sample(), own, y.data() + n * d.sample());
  }
}

template <class T>
void channel_norm_backward(const ChannelNormDims& d, std::span<const T> x, std::span<const T> weight,
                           std::span<const T> bias, std::span<const double> stats, std::span<const T> y,
                           std::span<const T> dy, std::span<T> dx, std::span<T> dweight, std::span<T> dbias,
                           std::span<T> dresidual, std::span<double> sums) {
  const auto at = [&](auto values, std::size_t n) { return values.empty() ? nullptr : values.data() + n * d.sample(); };
  for (std::size_t n = 0; n < d.batch && d.sample() > 0; ++n) {
    const double* const own = stats.data() + n * d.groups * 2;
    sample_sums(d, at(x, n), weight, bias, own, at(dy, n), at(y, n), at(dresidual, n), sums.data());
    if (!dx.empty()) sample_gradient(d, at(x, n), weight, bias, own, at(dy, n), at(y, n), sums.data(), at(dx, n));
    for (std::size_t c = 0; c < d.channels; ++c) {
      if (!dweight.empty()) dweight[c] += static_cast<T>(sums[c]);
      if (!dbias.empty()) dbias[c] += static_cast<T>(sums[d.channels + c]);
    }
  }
}

}  // namespace tapestry::kernels::reference
