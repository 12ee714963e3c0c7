// Matrix products in all transposes.
#pragma once

#include <cstddef>
#include <span>

#include "kernels/device.h"
#include "kernels/reference/matmul.h"

namespace tapestry::kernels {

// C[M,N] = op(A) op(B) + bias[N], or C += ... when `accumulate`; for each of `batch` matrices, which lie one behind the
// other (stride 0 for an operand that is the same for all). op(A) is [M,K], stored [K,M] when `transpose_a`;
// op(B) is [K,N], stored [N,K] when `transpose_b`. An empty `bias` adds nothing. Sums are in fp32, in
// an order that depends on sizes and target alone.
void matmul(const Device&, const MatmulDims&, std::span<const float> a, std::span<const float> b,
            std::span<const float> bias, std::span<float> c);
inline void matmul(const Device&, const MatmulDims& dims, std::span<const double> a, std::span<const double> b,
                   std::span<const double> bias, std::span<double> c) {
  reference::matmul(dims, a, b, bias, c);
}

}  // namespace tapestry::kernels
