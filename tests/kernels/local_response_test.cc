#include "kernels/local_response.h"

#include <cmath>
#include <limits>

#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;
using kernels::LocalResponseDims;

namespace {

void check(const kernels::Device& device, const LocalResponseDims& dims, std::size_t rows, std::size_t misalignment,
           double range) {
  const std::size_t size = rows * dims.n;
  INFO("[" << rows << ", " << dims.n << "] window " << dims.before << " + 1 + " << dims.after << " beta " << dims.beta
           << " range " << range);
  Guarded<float> x(size, misalignment), y(size, misalignment), dy(size, misalignment), dx(size, misalignment);
  fill_random(x.span(), size + 1, -range, range);
  fill_random(dy.span(), size + 2);
  const auto wide_x = widened(x.span()), wide_dy = widened(dy.span());
  std::vector<double> expected(size);
  kernels::local_response_forward(device, dims, std::span<const double>(wide_x), expected);
  kernels::local_response_forward(device, dims, std::as_const(x).span(), y.span());
  std::size_t wrong = 0;  // each element is right to a rounding, however small
  for (std::size_t i = 0; i < size; ++i)
    wrong += !(std::abs(static_cast<double>(y[i]) - expected[i]) <= 1.2e-7 * std::abs(expected[i]) + 1e-45);
  REQUIRE(wrong == 0);
  kernels::local_response_backward(device, dims, std::span<const double>(wide_x), wide_dy, expected);
  kernels::local_response_backward(device, dims, std::as_const(x).span(), std::as_const(dy).span(), dx.span());
  require_close(dx.span(), expected, 1e-6, range > 1e30 ? 1e-30 : 0);  // zero in float
  REQUIRE((x.intact() && y.intact() && dy.intact() && dx.intact()));
  count_case(device.target);
}

constexpr float kInf = std::numeric_limits<float>::infinity(), kNaN = std::numeric_limits<float>::quiet_NaN();

}  // namespace

TEST_CASE("local response kernels: every target, size and window against plain loops") {
  for_each_target([](const kernels::Device& device) {
    for (std::size_t n : awkward_sizes()) {
      if (n == 0) continue;
      for (std::size_t misalignment : kMisalignments)
        for (double beta : {0.75, 0.5, 1.3}) {
          const std::size_t far = n - 1;
          check(device,
                {.n = n,
                 .before = std::min<std::size_t>(2, far),
                 .after = std::min<std::size_t>(2, far),
                 .scale = 0.3,
                 .beta = beta},
                n > 1000 ? 1 : 3, misalignment, 3);
        }
      if (n < 80) check(device, {.n = n, .before = n / 2, .after = n / 3, .scale = 0.3, .k = 2}, 4, 1, 2);
    }
    for (std::size_t width = 1; width <= 21; ++width)
      check(device, {.n = 21, .before = width / 2, .after = (width - 1) / 2, .scale = 0.1}, 5, 0, 3);
    check(device, {.n = 17, .before = 16, .after = 16, .scale = 0.1}, 5, 0, 3);
    check(device, {.n = 40, .before = 2, .after = 2, .scale = 0.1}, 3000, 0, 3);
    check(device, {.n = 5, .before = 1, .after = 1, .scale = 0.1, .beta = -0.5}, 9, 0, 3);
  });
}

TEST_CASE("local response kernels: huge and tiny numbers stay exact") {
  for_each_target([](const kernels::Device& device) {
    for (double range : {1e-38, 1e-20, 1e10, 1e19, 1e20, 3e38})
      for (double beta : {0.75, 0.5, 0.9})
        check(device, {.n = 13, .before = 2, .after = 2, .scale = 1e-4, .beta = beta}, 4, 0, range);
  });
}

TEST_CASE("local response kernels: a NaN spoils the elements whose window it is in, and no others") {
  for_each_target([](const kernels::Device& device) {
    const LocalResponseDims dims{.n = 23, .before = 2, .after = 1};
    for (float bad : {kNaN, kInf, -kInf})
      for (std::size_t at = 0; at < dims.n; ++at) {
        std::vector<float> x(2 * dims.n, 1), y(x.size());
        x[dims.n + at] = bad;
        kernels::local_response_forward(device, dims, std::span<const float>(x), y);
        for (std::size_t i = 0; i < x.size(); ++i) {
          const bool seen = i + dims.after >= dims.n + at && i <= dims.n + at + dims.before && i >= dims.n;
          INFO("bad " << bad << " at " << at << ", element " << i);
          if (!seen || (std::isinf(bad) && i != dims.n + at))
            REQUIRE((seen ? y[i] == 0 : y[i] > 0.9f));
          else
            REQUIRE(std::isnan(y[i]));
        }
        count_case(device.target);
      }
  });
}
