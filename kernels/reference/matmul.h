#pragma once

#include <span>

#include "kernels/dims.h"

namespace tapestry::kernels::reference {

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

}  // namespace tapestry::kernels::reference
