#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>

namespace tapestry::kernels {

// Rows of `classes` scores, and a label for each row. Labels equal to ignore_index are left out.
struct CrossEntropyDims {
  std::size_t rows = 0, classes = 0;
  std::int64_t ignore_index = -100;
  double label_smoothing = 0;
};

// x and dx [rows, classes], labels, losses and dy [rows], weight [classes] or empty, stats [rows, 2]. Losses and dy may
// be empty.
template <class T>
struct CrossEntropyForward {
  std::span<const T> x{};
  std::span<const std::int64_t> labels{};
  std::span<const T> weight{};
  std::span<T> stats{}, losses{};
};
template <class T>
struct CrossEntropyBackward {
  std::span<const T> x{};
  std::span<const std::int64_t> labels{};
  std::span<const T> weight{}, stats{}, dy{};
  double scale = 1;
  std::span<T> dx{};
};
template <class T>
struct NllLossBackward {
  std::span<const std::int64_t> labels{};
  std::span<const T> weight{}, dy{};
  double scale = 1;
  std::span<T> dx{};
};

namespace reference {

// The sum of the class weights; their number where there are none.
template <class T>
double weight_sum(const CrossEntropyDims& dims, std::span<const T> weight) {
  return weight.empty() ? static_cast<double>(dims.classes) : std::accumulate(weight.begin(), weight.end(), 0.0);
}

// See kernels/loss.h.
template <class T>
double cross_entropy_forward(const CrossEntropyDims& dims, const CrossEntropyForward<T>& a) {
  const double s = dims.label_smoothing, classes = static_cast<double>(dims.classes);
  double total = 0;
  for (std::size_t row = 0; row < dims.rows; ++row) {
    const std::span<const T> in = a.x.subspan(row * dims.classes, dims.classes);
    double top = -std::numeric_limits<double>::infinity(), sum = 0, loss = 0;
    for (T v : in) top = std::fmax(top, static_cast<double>(v));
    for (T v : in) sum += std::exp(static_cast<double>(v) - top);
    if (a.labels[row] != dims.ignore_index) {
      const auto log_p = [&](std::size_t c) { return static_cast<double>(in[c]) - top - std::log(sum); };
      const std::size_t y = static_cast<std::size_t>(a.labels[row]);
      loss = -(1 - s) * (a.weight.empty() ? 1.0 : static_cast<double>(a.weight[y])) * log_p(y);
      for (std::size_t c = 0; c < dims.classes && s > 0; ++c)
        loss -= s / classes * (a.weight.empty() ? 1.0 : static_cast<double>(a.weight[c])) * log_p(c);
    }
    a.stats[2 * row] = static_cast<T>(top);
    a.stats[2 * row + 1] = static_cast<T>(1 / sum);
    if (!a.losses.empty()) a.losses[row] = static_cast<T>(loss);
    total += loss;
  }
  return total;
}

template <class T>
void cross_entropy_backward(const CrossEntropyDims& dims, const CrossEntropyBackward<T>& a) {
  const double s = dims.label_smoothing, classes = static_cast<double>(dims.classes), all = weight_sum(dims, a.weight);
  for (std::size_t row = 0; row < dims.rows; ++row)
    for (std::size_t c = 0; c < dims.classes; ++c) {
      const std::size_t i = row * dims.classes + c, y = static_cast<std::size_t>(a.labels[row]);
      if (a.labels[row] == dims.ignore_index) {
        a.dx[i] = 0;
        continue;
      }
      const double p =
          std::exp(static_cast<double>(a.x[i] - a.stats[2 * row])) * static_cast<double>(a.stats[2 * row + 1]);
      const double hit = (1 - s) * (a.weight.empty() ? 1.0 : static_cast<double>(a.weight[y]));
      const double g = (hit + s * all / classes) * p - (c == y ? hit : 0) -
                       s / classes * (a.weight.empty() ? 1.0 : static_cast<double>(a.weight[c]));
      a.dx[i] = static_cast<T>(a.scale * (a.dy.empty() ? 1.0 : static_cast<double>(a.dy[row])) * g);
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
void nll_loss_backward(const CrossEntropyDims& dims, const NllLossBackward<T>& a) {
  std::fill(a.dx.begin(), a.dx.end(), T{});
  for (std::size_t row = 0; row < dims.rows; ++row) {
    if (a.labels[row] == dims.ignore_index) continue;
    const std::size_t y = static_cast<std::size_t>(a.labels[row]);
    a.dx[row * dims.classes + y] =
        -static_cast<T>(a.scale) * (a.dy.empty() ? T{1} : a.dy[row]) * (a.weight.empty() ? T{1} : a.weight[y]);
  }
}

}  // namespace reference
}  // namespace tapestry::kernels
