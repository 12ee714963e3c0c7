#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>

#include "kernels/dims.h"

namespace tapestry::kernels::reference {

// The sum of the class weights; their number where there are none.
template <class T>
double weight_sum(const CrossEntropyDims& dims, std::span<const T> weight) {
  return weight.empty() ? static_cast<double>(dims.classes) : std::accumulate(weight.begin(), weight.end(), 0.0);
}

// See kernels/loss.h.
template <class T>
double cross_entropy_forward(const CrossEntropyDims& dims, std::span<const T> x, std::span<const std::int64_t> labels,
                             std::span<const T> weight, std::span<T> stats, std::span<T> losses) {
  const double s = dims.label_smoothing, classes = static_cast<double>(dims.classes);
  double total = 0;
  for (std::size_t row = 0; row < dims.rows; ++row) {
    const std::span<const T> in = x.subspan(row * dims.classes, dims.classes);
    double top = -std::numeric_limits<double>::infinity(), sum = 0, loss = 0;
    for (T v : in) top = std::fmax(top, static_cast<double>(v));
    for (T v : in) sum += std::exp(static_cast<double>(v) - top);
    if (labels[row] != dims.ignore_index) {
      const auto log_p = [&](std::size_t c) { return static_cast<double>(in[c]) - top - std::log(sum); };
      const std::size_t y = static_cast<std::size_t>(labels[row]);
      loss = -(1 - s) * (weight.empty() ? 1.0 : static_cast<double>(weight[y])) * log_p(y);
      for (std::size_t c = 0; c < dims.classes && s > 0; ++c)
        loss -= s / classes * (weight.empty() ? 1.0 : static_cast<double>(weight[c])) * log_p(c);
    }
    stats[2 * row] = static_cast<T>(top);
    stats[2 * row + 1] = static_cast<T>(1 / sum);
    if (!losses.empty()) losses[row] = static_cast<T>(loss);
    total += loss;
  }
  return total;
}

template <class T>
void cross_entropy_backward(const CrossEntropyDims& dims, std::span<const T> x, std::span<const std::int64_t> labels,
                            std::span<const T> weight, std::span<const T> stats, std::span<const T> dy, double scale,
                            std::span<T> dx) {
  const double s = dims.label_smoothing, classes = static_cast<double>(dims.classes), all = weight_sum(dims, weight);
  for (std::size_t row = 0; row < dims.rows; ++row)
    for (std::size_t c = 0; c < dims.classes; ++c) {
      const std::size_t i = row * dims.classes + c, y = static_cast<std::size_t>(labels[row]);
      if (labels[row] == dims.ignore_index) {
        dx[i] = 0;
        continue;
      }
      const double p = std::exp(static_cast<double>(x[i] - stats[2 * row])) * static_cast<double>(stats[2 * row + 1]);
      const double hit = (1 - s) * (weight.empty() ? 1.0 : static_cast<double>(weight[y]));
      const double g = (hit + s * all / classes) * p - (c == y ? hit : 0) -
                       s / classes * (weight.empty() ? 1.0 : static_cast<double>(weight[c]));
      dx[i] = static_cast<T>(scale * (dy.empty() ? 1.0 : static_cast<double>(dy[row])) * g);
    }
}

template <class T>
double nll_loss_forward(const CrossEntropyDims& dims, std::span<const T> x, std::span<const std::int64_t> labels,
                        std::span<const T> weight, std::span<T> losses) {
  double total = 0;
  for (std::size_t row = 0; row < dims.rows; ++row) {
    T loss = 0;
    if (labels[row] != dims.ignore_index) {
      const std::size_t y = static_cast<std::size_t>(labels[row]);
      loss = -x[row * dims.classes + y] * (weight.empty() ? T{1} : weight[y]);
    }
    if (!losses.empty()) losses[row] = loss;
    total += static_cast<double>(loss);
  }
  return total;
}

template <class T>
void nll_loss_backward(const CrossEntropyDims& dims, std::span<const std::int64_t> labels, std::span<const T> weight,
                       std::span<const T> dy, double scale, std::span<T> dx) {
  std::fill(dx.begin(), dx.end(), T{});
  for (std::size_t row = 0; row < dims.rows; ++row) {
    if (labels[row] == dims.ignore_index) continue;
    const std::size_t y = static_cast<std::size_t>(labels[row]);
    dx[row * dims.classes + y] =
        -static_cast<T>(scale) * (dy.empty() ? T{1} : dy[row]) * (weight.empty() ? T{1} : weight[y]);
  }
}

}  // namespace tapestry::kernels::reference
