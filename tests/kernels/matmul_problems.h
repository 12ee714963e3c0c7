// Matrix products to test kernels with.
#pragma once

#include "tests/support/targets.h"

namespace tapestry::test {

struct MatmulSizes {
  std::size_t m, n, k;
};

inline constexpr int kMatmulOptions = 16;

// C (+)= op(A) op(B) + bias of whole numbers, with every operand `misalignment` elements off, against plain loops in
// double: equal, inputs intact, nothing written outside. Bits of `option`: A transposed, B transposed, C added to,
// bias.
void check_matmul(const kernels::Device& device, const MatmulSizes& sizes, int option, std::size_t misalignment);

}  // namespace tapestry::test
