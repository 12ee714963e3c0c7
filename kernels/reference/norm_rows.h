#pragma once

#include <cmath>
#include <cstddef>
#include <span>

#include "kernels/dims.h"

namespace tapestry::kernels::reference {

struct Moments {
  double mean = 0, variance = 0;
};

// Mean and biased variance in double, from two passes. Differences from the first number come first, so that equal
// numbers have exactly that mean and no variance. Not `center`: 0 and the mean of the squares.
template <class T>
Moments moments(const T* x, std::size_t n, bool center = true) {
  const double first = static_cast<double>(x[0]), count = static_cast<double>(n);
  double sum = 0, squares = 0;
  for (std::size_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) - first;
  const double mean = center ? first + sum / count : 0;
  for (std::size_t i = 0; i < n; ++i)
    squares += (static_cast<double>(x[i]) - mean) * (static_cast<double>(x[i]) - mean);
  if (!std::isfinite(squares)) return {squares - squares, squares - squares};
  return {mean, squares / count};
}

// See kernels/norm_rows.h.
template <class T>
void layer_norm_forward(const NormDims& dims, std::span<const T> x, std::span<const T> weight, std::span<const T> bias,
                        std::span<const T> residual, std::span<T> y, std::span<double> stats) {
  for (std::size_t row = 0; row < dims.rows && dims.n > 0; ++row) {
    const Moments m = moments(x.data() + row * dims.n, dims.n, dims.center);
    const double rstd = 1 / std::sqrt(m.variance + dims.epsilon);
    stats[2 * row] = m.mean;
    stats[2 * row + 1] = rstd;
    for (std::size_t j = 0; j < dims.n; ++j) {
      const std::size_t i = row * dims.n + j;
      const double h = (static_cast<double>(x[i]) - m.mean) * rstd;
      const double v = h * (weight.empty() ? 1.0 : static_cast<double>(weight[j])) +
                       (bias.empty() ? 0.0 : static_cast<double>(bias[j])) +
                       (residual.empty() ? 0.0 : static_cast<double>(residual[i]));
      y[i] = static_cast<T>(dims.relu && v <= 0 ? 0 : v);
    }
  }
}

template <class T>
void layer_norm_backward(const NormDims& dims, std::span<const T> x, std::span<const T> weight, std::span<const T> bias,
                         std::span<const double> stats, std::span<const T> y, std::span<const T> dy, std::span<T> dx,
                         std::span<T> dweight, std::span<T> dbias, std::span<T> dresidual) {
  const auto w = [&](std::size_t j) { return weight.empty() ? 1.0 : static_cast<double>(weight[j]); };
  for (std::size_t row = 0; row < dims.rows; ++row) {
    const std::size_t at = row * dims.n;
    const double mean = stats[2 * row], rstd = stats[2 * row + 1], count = static_cast<double>(dims.n);
    const auto h = [&](std::size_t j) { return (static_cast<double>(x[at + j]) - mean) * rstd; };
    const auto passed = [&](std::size_t j) {
      const double v = y.empty() ? h(j) * w(j) + (bias.empty() ? 0.0 : static_cast<double>(bias[j]))
                                 : static_cast<double>(y[at + j]);
      return dims.relu && v <= 0 ? 0.0 : static_cast<double>(dy[at + j]);
    };
    const auto g = [&](std::size_t j) { return passed(j) * w(j); };
    const double start = dims.center && dims.n > 0 ? g(0) : 0;
    double sum = 0, product = 0;
    for (std::size_t j = 0; j < dims.n; ++j) {
      if (dims.center) sum += g(j) - start;
      product += (g(j) - start) * h(j);
      if (!dweight.empty()) dweight[j] += static_cast<T>(passed(j) * h(j));
      if (!dbias.empty()) dbias[j] += static_cast<T>(passed(j));
      if (!dresidual.empty()) dresidual[at + j] = static_cast<T>(passed(j));
    }
    for (std::size_t j = 0; j < dims.n && !dx.empty(); ++j)
      dx[at + j] = static_cast<T>(rstd * (g(j) - start - sum / count - h(j) * product / count));
  }
}

}  // namespace tapestry::kernels::reference
