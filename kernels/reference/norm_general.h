#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>

namespace tapestry::kernels {

// Rows of n numbers with statistics of their own, some of which may not count. Each of `weight_rows` runs of
// neighbouring rows has its own row of weight and bias. Without `center` the mean is taken as 0.
struct GeneralNormDims {
  std::size_t rows = 0, n = 0, weight_rows = 1;
  double epsilon = 1e-5;
  bool center = true;
};

// What the steps of kernels/norm_general.h read and write: x, mask, y, dy and dx [rows, n], weight, bias and their
// gradients [weight_rows, n], stats [rows, 3], products [rows, 2]. Mask, weight and bias may be empty.
template <class T>
struct NormApply {
  std::span<const T> x{}, weight{}, bias{};
  std::span<const double> stats{};
  std::span<T> y{};
};
template <class T>
struct NormProducts {
  std::span<const T> x{}, weight{};
  std::span<const double> stats{};
  std::span<const T> dy{};
  std::span<double> products{};
  std::span<T> dweight{}, dbias{};
};
template <class T>
struct NormGradient {
  std::span<const T> x{}, mask{}, weight{};
  std::span<const double> stats{}, products{};
  std::span<const T> dy{};
  std::span<T> dx{};
};

namespace reference {

// One row, see norm_moments in kernels/norm_general.h; mask may be nullptr.
template <class T>
void row_moments(const GeneralNormDims& d, const T* x, const T* mask, double* stats) {
  const auto counts = [&](std::size_t j) { return mask == nullptr || mask[j] != 0; };
  std::size_t begin = 0, count = 0;
  for (std::size_t j = d.n; j-- > 0;)
    if (counts(j)) begin = j, ++count;
  const double first = d.center ? static_cast<double>(x[begin]) : 0, size = static_cast<double>(count);
  double sum = 0, squares = 0;
  for (std::size_t j = begin; j < d.n; ++j)
    if (counts(j)) sum += static_cast<double>(x[j]) - first;
  const double mean = d.center ? first + sum / size : 0;
  for (std::size_t j = begin; j < d.n; ++j)
    if (counts(j)) squares += (static_cast<double>(x[j]) - mean) * (static_cast<double>(x[j]) - mean);
  const bool finite = count > 0 && std::isfinite(squares);
  stats[0] = finite ? mean : std::numeric_limits<double>::quiet_NaN();
  stats[1] = finite ? squares / size : std::numeric_limits<double>::quiet_NaN();
  stats[2] = static_cast<double>(d.n) / size;
}

// What is the same for all elements of a row.
template <class T>
struct RowView {
  RowView(const GeneralNormDims& d, std::span<const T> weight, const double* stats, std::size_t row)
      : mean(stats[3 * row]),
        rstd(1 / std::sqrt(stats[3 * row + 1] + d.epsilon)),
        share(stats[3 * row + 2]),
        at(row * d.n),
        weight_at(row / (d.rows / d.weight_rows) * d.n),
        weight_(weight) {}
  // Whether the gradient flows through the statistics: they are not given, and not those of nothing.
  bool shares() const { return share != 0 && std::isfinite(share); }
  double h(T x) const { return (static_cast<double>(x) - mean) * rstd; }
  double weight(std::size_t j) const { return weight_.empty() ? 1 : static_cast<double>(weight_[weight_at + j]); }

  double mean, rstd, share;
  std::size_t at, weight_at;  // where the row begins in x, and in weight and bias

 private:
  std::span<const T> weight_;
};

// Where a gradient is 0, so is what it is multiplied by.
inline double product(double g, double h) { return g == 0 ? 0 : g * h; }

// See kernels/norm_general.h for all that follows.
template <class T>
void norm_moments(const GeneralNormDims& d, std::span<const T> x, std::span<const T> mask, std::span<double> stats) {
  for (std::size_t row = 0; row < d.rows && d.n > 0; ++row)
    row_moments(d, x.data() + row * d.n, mask.empty() ? nullptr : mask.data() + row * d.n, stats.data() + 3 * row);
}

template <class T>
void norm_apply(const GeneralNormDims& d, const NormApply<T>& a) {
  for (std::size_t row = 0; row < d.rows && d.n > 0; ++row) {
    const RowView<T> v(d, a.weight, a.stats.data(), row);
    for (std::size_t j = 0; j < d.n; ++j)
      a.y[v.at + j] = static_cast<T>(v.h(a.x[v.at + j]) * v.weight(j) +
                                     (a.bias.empty() ? 0 : static_cast<double>(a.bias[v.weight_at + j])));
  }
}

template <class T>
void norm_products(const GeneralNormDims& d, const NormProducts<T>& a) {
  for (std::size_t row = 0; row < d.rows && d.n > 0; ++row) {
    const RowView<T> v(d, a.weight, a.stats.data(), row);
    const double first = static_cast<double>(a.dy[v.at]) * v.weight(0);
    double gradients = 0, slopes = 0;
    for (std::size_t j = 0; j < d.n; ++j) {
      const double p = static_cast<double>(a.dy[v.at + j]), g = p * v.weight(j), h = v.h(a.x[v.at + j]);
      gradients += g - first;
      slopes += product(g, h);
      if (!a.dweight.empty()) a.dweight[v.weight_at + j] += static_cast<T>(product(p, h));
      if (!a.dbias.empty()) a.dbias[v.weight_at + j] += static_cast<T>(p);
    }
    a.products[2 * row] = d.center ? first + gradients / static_cast<double>(d.n) : 0;
    a.products[2 * row + 1] = slopes / static_cast<double>(d.n);
  }
}

template <class T>
void norm_gradient(const GeneralNormDims& d, const NormGradient<T>& a) {
  for (std::size_t row = 0; row < d.rows && d.n > 0; ++row) {
    const RowView<T> v(d, a.weight, a.stats.data(), row);
    for (std::size_t j = 0; j < d.n; ++j) {
      const std::size_t i = v.at + j;
      const double g = static_cast<double>(a.dy[i]) * v.weight(j);
      const bool counts = v.shares() && (a.mask.empty() || a.mask[i] != 0);
      const double through = counts ? v.share * (a.products[2 * row] + v.h(a.x[i]) * a.products[2 * row + 1]) : 0;
      a.dx[i] = static_cast<T>(product(g - through, v.rstd));
    }
  }
}

}  // namespace reference
}  // namespace tapestry::kernels
