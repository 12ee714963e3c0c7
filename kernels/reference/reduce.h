#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

namespace tapestry::kernels {

// A reduction of x [outer, size, inner] to y [outer, inner].
struct ReduceDims {
  std::size_t outer = 1, size = 1, inner = 1;
};

// What a sum adds up, from an element x and its row's center c.
enum class Term {
  value,   // x
  square,  // (x - c)^2, or x^2 without centers
  exp,     // exp(x - c)
  equal,   // 1 where x = c or both are NaN, else 0
};

namespace reference {

template <class T>
T term_of(Term term, T x, T center) {
  switch (term) {
    case Term::value:
      return x;
    case Term::square:
      return (x - center) * (x - center);
    case Term::exp:
      return std::exp(x - center);
    case Term::equal:
      return x == center || (std::isnan(x) && std::isnan(center)) ? T{1} : T{};
  }
  return T{};
}

// See kernels/reduce.h.
template <class T>
void reduce(const ReduceDims& dims, Term term, std::span<const T> x, std::span<const double> center,
            std::span<double> sums) {
  for (std::size_t i = 0; i < dims.outer; ++i)
    for (std::size_t j = 0; j < dims.inner; ++j) {
      const std::size_t at = i * dims.inner + j;
      double sum = 0;
      for (std::size_t k = 0; k < dims.size; ++k)
        sum += term_of<double>(term, x[(i * dims.size + k) * dims.inner + j], center.empty() ? 0 : center[at]);
      sums[at] = sum;
    }
}

template <class T>
bool all_finite(std::span<const T> x) {
  return std::ranges::all_of(x, [](T value) { return std::isfinite(value); });
}

template <class T>
void sum_rows(std::size_t m, std::size_t n, std::span<const T> x, std::span<T> out, bool accumulate) {
  for (std::size_t j = 0; j < n; ++j) {
    T sum = accumulate ? out[j] : T{};
    for (std::size_t i = 0; i < m; ++i) sum += x[i * n + j];
    out[j] = sum;
  }
}

}  // namespace reference
}  // namespace tapestry::kernels
