#include "kernels/dropout.h"

#include <cmath>
#include <limits>

#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;
using kernels::DropoutDims;

TEST_CASE("dropout kernels: every target drops the elements that the plain loops drop") {
  for_each_target([](const kernels::Device& device) {
    for (std::size_t size : awkward_sizes())
      for (std::size_t misalignment : kMisalignments)
        for (double p : {0.0, 0.1, 0.5, 0.999, 1.0}) {
          const DropoutDims dims{.p = p, .seed = 0x123456789abcdef0, .stream = 0xfedcba9876543210};
          Guarded<float> x(size, misalignment), y(size, misalignment);
          fill_random(x.span(), size);
          std::vector<double> expected(size);
          kernels::dropout(device, dims, std::span<const double>(widened(x.span())), expected);
          kernels::dropout(device, dims, std::as_const(x).span(), y.span());
          INFO("size " << size << " p " << p);
          require_close(y.span(), expected, 1e-6);
          REQUIRE((x.intact() && y.intact()));
          count_case(device.target);
        }
  });
}

TEST_CASE("dropout kernels: the share of zeros is p, and NaN stays where it is kept only") {
  for_each_target([](const kernels::Device& device) {
    for (double p : {0.1, 0.5, 0.9})
      for (std::uint64_t stream : {1u, 2u}) {
        std::vector<float> x(100000, std::numeric_limits<float>::quiet_NaN()), y(x.size());
        kernels::dropout(device, {.p = p, .seed = 1, .stream = stream}, std::span<const float>(x), y);
        const double zeros = static_cast<double>(std::ranges::count(y, 0.0f));
        const double nans = static_cast<double>(std::ranges::count_if(y, [](float v) { return std::isnan(v); }));
        REQUIRE(zeros + nans == 100000);
        REQUIRE(std::abs(zeros - p * 100000) < 5 * std::sqrt(p * (1 - p) * 100000));  // five standard deviations
        count_case(device.target);
      }
  });
}
