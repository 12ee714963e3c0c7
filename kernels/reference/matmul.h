#pragma once

#include <cstddef>
#include <span>

namespace tapestry::kernels {

// C[M,N] = op(A)[M,K] op(B)[K,N], `batch` times; strides are in elements from one matrix of the batch to the next.
struct MatmulDims {
  std::size_t m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;
  bool accumulate = false;  // C += instead of C =
  std::size_t batch = 1, stride_a = 0, stride_b = 0, stride_c = 0;
};

namespace reference {

// See kernels/matmul.h.
template <class T>
void matmul(const MatmulDims& dims, std::span<const T> a, std::span<const T> b, std::span<const T> bias,
            std::span<T> c) {
  for (std::size_t batch = 0; batch < dims.batch; ++batch) {
    const T* x = a.data() + batch * dims.stride_a;
    const T* y = b.data() + batch * dims.stride_b;
    T* out = c.data() + batch * dims.stride_c;
    for (std::size_t i = 0; i < dims.m; ++i)
      for (std::size_t j = 0; j < dims.n; ++j) {
        T sum = bias.empty() ? T{} : bias[j];
        if (dims.accumulate) sum += out[i * dims.n + j];
        for (std::size_t k = 0; k < dims.k; ++k)
          sum += (dims.transpose_a ? x[k * dims.m + i] : x[i * dims.k + k]) *
                 (dims.transpose_b ? y[j * dims.k + k] : y[k * dims.n + j]);
        out[i * dims.n + j] = sum;
      }
  }
}

}  // namespace reference
}  // namespace tapestry::kernels
