// The sizes that kernels work on; shapes of tensors are reduced to these at the op's door.
#pragma once

#include <cstddef>

namespace tapestry::kernels {

// C[M,N] = op(A)[M,K] op(B)[K,N], `batch` times; strides are in elements from one matrix of the batch to the next.
struct MatmulDims {
  std::size_t m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;
  bool accumulate = false;  // C += instead of C =
  std::size_t batch = 1, stride_a = 0, stride_b = 0, stride_c = 0;
};

}  // namespace tapestry::kernels
