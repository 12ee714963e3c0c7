#include "tests/kernels/matmul_problems.h"

#include <utility>

#include "kernels/matmul.h"
#include "tests/catch.h"

namespace tapestry::test {

void check_matmul(const kernels::Device& device, const MatmulSizes& sizes, int option, std::size_t misalignment) {
  const kernels::MatmulDims dims{.m = sizes.m,
                                 .n = sizes.n,
                                 .k = sizes.k,
                                 .transpose_a = (option & 1) != 0,
                                 .transpose_b = (option & 2) != 0,
                                 .accumulate = (option & 4) != 0};
  Guarded<float> a(sizes.m * sizes.k, misalignment), b(sizes.k * sizes.n, misalignment),
      bias((option & 8) != 0 ? sizes.n : 0, misalignment), c(sizes.m * sizes.n, misalignment);
  fill_whole(a.span(), 1);
  fill_whole(b.span(), 2);
  fill_whole(bias.span(), 3);
  fill_whole(c.span(), 4);
  std::vector<double> expected = widened(c.span());
  const auto wide_a = widened(a.span()), wide_b = widened(b.span()), wide_bias = widened(bias.span());
  kernels::matmul(device, dims, std::span<const double>(wide_a), wide_b, wide_bias, expected);
  kernels::matmul(device, dims, std::as_const(a).span(), std::as_const(b).span(), std::as_const(bias).span(), c.span());
  INFO("m " << sizes.m << " n " << sizes.n << " k " << sizes.k << " option " << option);
  require_close(c.span(), expected, 0);
  REQUIRE((a.intact() && b.intact() && bias.intact() && c.intact()));
}

}  // namespace tapestry::test
