#include "kernels/update.h"

#include <cmath>
#include <limits>

#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;
using namespace tapestry::kernels;

TEST_CASE("update: l2_norm is exact to double on every target and sees what is not finite") {
  for_each_target([](const Device& device) {
    for (std::size_t size : awkward_sizes())
      for (std::size_t misalignment : kMisalignments) {
        Guarded<float> x(size, misalignment);
        fill_random(x.span(), size, -1, 1);
        const std::vector<double> wide = widened(x.span());
        const double expected = l2_norm(device, std::span<const double>(wide));
        REQUIRE(std::abs(l2_norm(device, x.span()) - expected) <= 1e-13 * expected);
        for (float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()})
          for (std::size_t at : {std::size_t{0}, size / 2, size - 1}) {
            if (size == 0) continue;
            const float kept = std::exchange(x[at], bad);
            REQUIRE_FALSE(std::isfinite(l2_norm(device, x.span())));
            x[at] = kept;
          }
        count_case(device.target);
      }
    for (float value : {std::numeric_limits<float>::max(), std::numeric_limits<float>::min(), 1e-45f}) {
      Guarded<float> x(100000, 0, value);
      REQUIRE(std::abs(l2_norm(device, x.span()) / (double{value} * std::sqrt(100000.0)) - 1) < 1e-13);
    }
    const std::vector<double> wide(7, 1e300);
    REQUIRE(std::abs(l2_norm(device, std::span<const double>(wide)) / (1e300 * std::sqrt(7.0)) - 1) < 1e-13);
  });
}
