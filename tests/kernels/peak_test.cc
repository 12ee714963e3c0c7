#include "kernels/peak.h"

#include <cmath>

#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

TEST_CASE("iterate_affine: every target against plain loops, exact on whole numbers") {
  for_each_target([](const kernels::Device& device) {
    for (const std::size_t size : awkward_sizes())
      for (const std::size_t misalignment : kMisalignments)
        for (const std::size_t rounds : {0u, 1u, 3u}) {
          Guarded<float> y(size, misalignment);
          fill_random(y.span(), size, -8, 9);
          for (float& value : y.span()) value = std::floor(value);
          std::vector<double> expected = widened(y.span());
          for (double& value : expected)
            for (std::size_t round = 0; round < rounds; ++round) value = 3 * value + 2;
          kernels::iterate_affine(device, rounds, 3, 2, y.span());
          INFO("size " << size << " rounds " << rounds);
          require_close(y.span(), expected, 0);
          REQUIRE(y.intact());
          count_case(device.target);
        }
  });
}
