#pragma once

#include <cmath>
#include <cstddef>
#include <span>

namespace tapestry::kernels {

// Rows of n numbers, each with a mean and a variance of its own.
struct RowNormDims {
  std::size_t rows = 0, n = 0;
  double epsilon = 1e-5;
  bool relu = false;   // y = max(y, 0)
  bool center = true;  // otherwise means are taken as 0, and the variance is the mean of the squares
};

// x, residual and y [rows, n], weight and bias [n], any of weight, bias and residual or empty; stats [rows, 2].
template <class T>
struct RowNormForward {
  std::span<const T> x{}, weight{}, bias{}, residual{};
  std::span<T> y{};
  std::span<double> stats{};
};

// The same, and the gradients of each.
template <class T>
struct RowNormBackward {
  std::span<const T> x{}, weight{}, bias{};
  std::span<const double> stats{};
  std::span<const T> y{}, dy{};
  std::span<T> dx{}, dweight{}, dbias{}, dresidual{};
};

namespace reference {

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
void row_norm_forward(const RowNormDims& dims, const RowNormForward<T>& a) {
  for (std::size_t row = 0; row < dims.rows && dims.n > 0; ++row) {
    const Moments m = moments(a.x.data() + row * dims.n, dims.n, dims.center);
    const double rstd = 1 / std::sqrt(m.variance + dims.epsilon);
    a.stats[2 * row] = m.mean;
    a.stats[2 * row + 1] = rstd;
    for (std::size_t j = 0; j < dims.n; ++j) {
      const std::size_t i = row * dims.n + j;
      const double h = (static_cast<double>(a.x[i]) - m.mean) * rstd;
      const double v = h * (a.weight.empty() ? 1.0 : static_cast<double>(a.weight[j])) +
                       (a.bias.empty() ? 0.0 : static_cast<double>(a.bias[j])) +
                       (a.residual.empty() ? 0.0 : static_cast<double>(a.residual[i]));
      a.y[i] = static_cast<T>(dims.relu && v <= 0 ? 0 : v);
    }
  }
}

template <class T>
void row_norm_backward(const RowNormDims& dims, const RowNormBackward<T>& a) {
  const auto w = [&](std::size_t j) { return a.weight.empty() ? 1.0 : static_cast<double>(a.weight[j]); };
  for (std::size_t row = 0; row < dims.rows; ++row) {
    const std::size_t at = row * dims.n;
    const double mean = a.stats[2 * row], rstd = a.stats[2 * row + 1], count = static_cast<double>(dims.n);
    const auto h = [&](std::size_t j) { return (static_cast<double>(a.x[at + j]) - mean) * rstd; };
    const auto passed = [&](std::size_t j) {
      const double v = a.y.empty() ? h(j) * w(j) + (a.bias.empty() ? 0.0 : static_cast<double>(a.bias[j]))
                                   : static_cast<double>(a.y[at + j]);
      return dims.relu && v <= 0 ? 0.0 : static_cast<double>(a.dy[at + j]);
    };
    const auto g = [&](std::size_t j) { return passed(j) * w(j); };
    const double start = dims.center && dims.n > 0 ? g(0) : 0;
    double sum = 0, product = 0;
    for (std::size_t j = 0; j < dims.n; ++j) {
      if (dims.center) sum += g(j) - start;
      product += (g(j) - start) * h(j);
      if (!a.dweight.empty()) a.dweight[j] += static_cast<T>(passed(j) * h(j));
      if (!a.dbias.empty()) a.dbias[j] += static_cast<T>(passed(j));
      if (!a.dresidual.empty()) a.dresidual[at + j] = static_cast<T>(passed(j));
    }
    for (std::size_t j = 0; j < dims.n && !a.dx.empty(); ++j)
      a.dx[at + j] = static_cast<T>(rstd * (g(j) - start - sum / count - h(j) * product / count));
  }
}

}  // namespace reference
}  // namespace tapestry::kernels
