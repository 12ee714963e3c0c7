#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>

namespace tapestry::kernels {

// Lines of `size` elements that lie `inner` apart: x [outer, size, inner].
struct SoftmaxDims {
  std::size_t outer = 1, size = 1, inner = 1;
  bool log = false;  // the logarithm of the softmax
};

namespace reference {

// Calls body(offset of the first element) for each line along the axis; its elements are dims.inner apart.
template <class Body>
void for_lines(const SoftmaxDims& dims, const Body& body) {
  for (std::size_t i = 0; i < dims.outer; ++i)
    for (std::size_t j = 0; j < dims.inner; ++j) body(i * dims.size * dims.inner + j);
}

// See kernels/softmax.h.
template <class T>
void softmax_forward(const SoftmaxDims& dims, std::span<const T> x, std::span<T> y) {
  for_lines(dims, [&](std::size_t first) {
    T top = -std::numeric_limits<T>::infinity(), sum = 0;
    for (std::size_t k = 0; k < dims.size; ++k) top = std::fmax(top, x[first + k * dims.inner]);
    for (std::size_t k = 0; k < dims.size; ++k) sum += std::exp(x[first + k * dims.inner] - top);
    for (std::size_t k = 0; k < dims.size; ++k) {
      const std::size_t i = first + k * dims.inner;
      y[i] = dims.log ? x[i] - top - std::log(sum) : std::exp(x[i] - top) / sum;
    }
  });
}

template <class T>
void softmax_backward(const SoftmaxDims& dims, std::span<const T> y, std::span<const T> dy, std::span<T> dx) {
  for_lines(dims, [&](std::size_t first) {
    T sum = 0;
    for (std::size_t k = 0; k < dims.size; ++k) {
      const std::size_t i = first + k * dims.inner;
      sum += dims.log ? dy[i] : dy[i] * y[i];
    }
    for (std::size_t k = 0; k < dims.size; ++k) {
      const std::size_t i = first + k * dims.inner;
      dx[i] = dims.log ? dy[i] - std::exp(y[i]) * sum : y[i] * (dy[i] - sum);
    }
  });
}

}  // namespace reference
}  // namespace tapestry::kernels
