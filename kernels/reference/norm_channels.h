#pragma once

#include <cmath>
#include <cstddef>
#include <optional>
#include <span>

#include "kernels/reference/norm_rows.h"
#include "kernels/reference/norm_windows.h"

namespace tapestry::kernels {

// x [batch, positions, channels]: in each sample, each of `groups` equal groups of channels has a mean and a variance
// of its own. Batch norm is one sample with as many groups as channels.
struct ChannelNormDims {
  std::size_t batch = 0, positions = 0, channels = 1, groups = 1;
  double epsilon = 1e-5;
  bool relu = false;      // y = max(y, 0)
  bool frozen = false;    // the statistics are given, and constants
  bool two_pass = false;  // squares are summed from the mean itself, never from a number near it
  std::size_t sample() const { return positions * channels; }
  std::size_t group_size() const { return channels / groups; }
};

// What sample n of `batch` has of values.
template <class T>
std::span<T> of_sample(std::span<T> values, std::size_t batch, std::size_t n) {
  const std::size_t size = values.size() / batch;
  return values.subspan(n * size, size);
}
template <class T>
NormPool<T> of_sample(const NormPool<T>& pool, std::size_t batch, std::size_t n) {
  return {pool.windows, of_sample(pool.largest, batch, n), of_sample(pool.taps, batch, n)};
}

// x, residual and y [batch, positions, channels], weight and bias [channels], any of weight, bias and residual or
// empty; stats [batch, groups, 2]. With `pool`, y has one position for each window.
template <class T>
struct ChannelNormForward {
  std::span<const T> x{}, weight{}, bias{}, residual{};
  std::span<T> y{};
  std::span<double> stats{};
  NormPool<T> pool{};

  ChannelNormForward sample(std::size_t batch, std::size_t n) const {
    ChannelNormForward own = *this;
    own.x = of_sample(x, batch, n);
    own.residual = of_sample(residual, batch, n);
    own.y = of_sample(y, batch, n);
    own.stats = of_sample(stats, batch, n);
    own.pool = of_sample(pool, batch, n);
    return own;
  }
};

// The same, and the gradients of each; dy is as y.
template <class T>
struct ChannelNormBackward {
  std::span<const T> x{}, weight{}, bias{};
  std::span<const double> stats{};
  std::span<const T> y{}, dy{};
  std::span<T> dx{}, dweight{}, dbias{}, dresidual{};
  NormPool<T> pool{};

  ChannelNormBackward sample(std::size_t batch, std::size_t n) const {
    ChannelNormBackward own = *this;
    own.x = of_sample(x, batch, n);
    own.stats = of_sample(stats, batch, n);
    own.y = of_sample(y, batch, n);
    own.dy = of_sample(dy, batch, n);
    own.dx = of_sample(dx, batch, n);
    own.dresidual = of_sample(dresidual, batch, n);
    own.pool = of_sample(pool, batch, n);
    return own;
  }
};

namespace reference {

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

// One sample, whose stats are given.
template <class T>
void normalize_sample(const ChannelNormDims& d, const ChannelNormForward<T>& s) {
  for (std::size_t c = 0; c < d.channels; ++c) {
    const ChannelFactors<T> factors(d, s.weight, s.bias, s.stats.data(), c);
    for (std::size_t i = c; i < d.sample(); i += d.channels) {
      const double v = factors.h(s.x[i]) * factors.weight + factors.bias +
                       (s.residual.empty() ? 0 : static_cast<double>(s.residual[i]));
      s.y[i] = static_cast<T>(d.relu && v <= 0 ? 0 : v);
    }
  }
}

// What comes to the norm of one sample from dy: through the ReLU where there is one, by the sign of y, or by that of
// the norm itself where y is empty. Calls body(i, channel, gradient, h) for the channels [begin, end).
template <class T, class Body>
void for_gradients(const ChannelNormDims& d, const ChannelNormBackward<T>& s, std::size_t begin, std::size_t end,
                   const Body& body) {
  for (std::size_t c = begin; c < end; ++c) {
    const ChannelFactors<T> factors(d, s.weight, s.bias, s.stats.data(), c);
    for (std::size_t i = c; i < d.sample(); i += d.channels) {
      const double h = factors.h(s.x[i]);
      const double v = s.y.empty() ? h * factors.weight + factors.bias : static_cast<double>(s.y[i]);
      body(i, c, d.relu && v <= 0 ? 0 : static_cast<double>(s.dy[i]), h);
    }
  }
}

// sums [2, channels] of one sample: of g h and of g. Writes g to dresidual.
template <class T>
void sample_sums(const ChannelNormDims& d, const ChannelNormBackward<T>& s, double* sums) {
  for (std::size_t i = 0; i < 2 * d.channels; ++i) sums[i] = 0;
  for_gradients(d, s, 0, d.channels, [&](std::size_t i, std::size_t c, double g, double h) {
    sums[c] += g * h;
    sums[d.channels + c] += g;
    if (!s.dresidual.empty()) s.dresidual[i] = static_cast<T>(g);
  });
}

// dx of one sample. The mean of the gradients is that of their differences from the first: a constant one leaves
// nothing.
template <class T>
void sample_gradient(const ChannelNormDims& d, const ChannelNormBackward<T>& s) {
  const std::size_t size = d.group_size();
  const double count = static_cast<double>(d.positions * size);
  const auto weight = [&](std::size_t c) { return s.weight.empty() ? 1 : static_cast<double>(s.weight[c]); };
  for (std::size_t begin = 0; begin < d.channels; begin += size) {
    std::optional<double> first;
    double differences = 0, slopes = 0;
    for_gradients(d, s, begin, begin + size, [&](std::size_t, std::size_t c, double g, double h) {
      const double weighted = g * weight(c);
      if (!first) first = weighted;
      differences += weighted - *first;
      slopes += weighted * h;
    });
    const double mean = d.frozen ? 0 : first.value_or(0) + differences / count, slope = d.frozen ? 0 : slopes / count;
    const double rstd = 1 / std::sqrt(s.stats[2 * (begin / size) + 1] + d.epsilon);
    for_gradients(d, s, begin, begin + size, [&](std::size_t i, std::size_t c, double g, double h) {
      s.dx[i] = static_cast<T>(rstd * (g * weight(c) - mean - h * slope));
    });
  }
}

// See kernels/norm_channels.h; these do not pool.
template <class T>
void channel_norm_forward(const ChannelNormDims& d, const ChannelNormForward<T>& a) {
  for (std::size_t n = 0; n < d.batch && d.sample() > 0; ++n) {
    const ChannelNormForward<T> own = a.sample(d.batch, n);
    for (std::size_t g = 0; g < d.groups && !d.frozen; ++g) {
      const Moments m = group_moments(d, own.x.data(), g);
      own.stats[2 * g] = m.mean;
      own.stats[2 * g + 1] = m.variance;
    }
    normalize_sample(d, own);
  }
}

// sums [2, channels] are scratch.
template <class T>
void channel_norm_backward(const ChannelNormDims& d, const ChannelNormBackward<T>& a, std::span<double> sums) {
  for (std::size_t n = 0; n < d.batch && d.sample() > 0; ++n) {
    const ChannelNormBackward<T> own = a.sample(d.batch, n);
    sample_sums(d, own, sums.data());
    if (!a.dx.empty()) sample_gradient(d, own);
    for (std::size_t c = 0; c < d.channels; ++c) {
      if (!a.dweight.empty()) a.dweight[c] += static_cast<T>(sums[c]);
      if (!a.dbias.empty()) a.dbias[c] += static_cast<T>(sums[d.channels + c]);
    }
  }
}

}  // namespace reference
}  // namespace tapestry::kernels
