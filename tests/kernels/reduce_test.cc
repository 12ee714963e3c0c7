#include "kernels/reduce.h"

#include <cmath>

#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

TEST_CASE("sum_rows: every target, size and alignment against plain loops in double") {
  for_each_target([](const kernels::Device& device) {
    for (std::size_t m : {0u, 1u, 2u, 3u, 64u, 255u, 256u, 257u, 1000u})
      for (std::size_t n : {0u, 1u, 7u, 10u, 16u, 33u, 64u, 65u, 131u})
        for (std::size_t misalignment : kMisalignments)
          for (bool accumulate : {false, true}) {
            Guarded<float> x(m * n, misalignment), out(n, misalignment, 0.5f);
            fill_random(x.span(), m + n);
            std::vector<double> expected = widened(out.span());
            kernels::sum_rows(device, m, n, std::span<const double>(widened(x.span())), expected, accumulate);
            kernels::sum_rows(device, m, n, std::as_const(x).span(), out.span(), accumulate);
            INFO("m " << m << " n " << n);
            require_close(out.span(), expected, 1e-6, 1 + std::sqrt(static_cast<double>(m)));
            REQUIRE((x.intact() && out.intact()));
            count_case(device.target);
          }
  });
}

TEST_CASE("all_finite: one NaN or infinity in any place is seen") {
  for_each_target([](const kernels::Device& device) {
    for (std::size_t size : awkward_sizes())
      for (std::size_t misalignment : kMisalignments) {
        Guarded<float> x(size, misalignment, 3e38f);
        REQUIRE(kernels::all_finite(device, std::as_const(x).span()));
        for (std::size_t at = 0; at<size; at += size> 200 ? 97 : 1)
          for (float bad : {NAN, INFINITY, -INFINITY}) {
            x[at] = bad;
            REQUIRE_FALSE(kernels::all_finite(device, std::as_const(x).span()));
            x[at] = 0;
          }
        count_case(device.target);
      }
  });
}
