#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

namespace tapestry::kernels {

// Rows of n numbers; each is divided by (k + scale * the squares from `before` places before it to `after`
// behind)^beta.
struct LocalResponseDims {
  std::size_t n = 1, before = 0, after = 0;  // both below n
  double scale = 1e-4, beta = 0.75, k = 1;
};

namespace reference {

// The sum of term(j) over the j in [i - before, i + after] that exist. In long double, which holds the square of any
// double where it has more exponents than that.
template <class Term>
long double window_sum(std::size_t i, std::size_t n, std::size_t before, std::size_t after, const Term& term) {
  long double sum = 0;
  for (std::size_t j = i - std::min(i, before); j <= i + std::min(after, n - 1 - i); ++j) sum += term(j);
  return sum;
}

// k + scale times the sum of squares around x[i], for a row x.
template <class T>
long double response(const LocalResponseDims& dims, const T* x, std::size_t i) {
  return dims.k + dims.scale * window_sum(i, dims.n, dims.before, dims.after, [&](std::size_t j) {
                    return static_cast<long double>(x[j]) * static_cast<long double>(x[j]);
                  });
}

// See kernels/local_response.h.
template <class T>
void local_response_forward(const LocalResponseDims& dims, std::span<const T> x, std::span<T> y) {
  for (std::size_t at = 0; at < x.size(); at += dims.n)
    for (std::size_t i = 0; i < dims.n; ++i)
      y[at + i] = static_cast<T>(x[at + i] * std::pow(response(dims, x.data() + at, i), -dims.beta));
}

template <class T>
void local_response_backward(const LocalResponseDims& dims, std::span<const T> x, std::span<const T> dy,
                             std::span<T> dx) {
  for (std::size_t at = 0; at < x.size(); at += dims.n)
    for (std::size_t i = 0; i < dims.n && !dx.empty(); ++i) {
      const T* row = x.data() + at;
      const long double through = window_sum(i, dims.n, dims.after, dims.before, [&](std::size_t j) {
        return dy[at + j] * static_cast<long double>(row[j]) * std::pow(response(dims, row, j), -dims.beta - 1);
      });
      dx[at + i] = static_cast<T>(dy[at + i] * std::pow(response(dims, row, i), -dims.beta) -
                                  2 * dims.scale * dims.beta * row[i] * through);
    }
}

}  // namespace reference
}  // namespace tapestry::kernels
