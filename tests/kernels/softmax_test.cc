#include "kernels/softmax.h"

#include <cmath>
#include <limits>

#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;
using kernels::SoftmaxDims;

namespace {

void check(const kernels::Device& device, const SoftmaxDims& dims, std::size_t misalignment, double range) {
  const std::size_t size = dims.outer * dims.size * dims.inner;
  INFO("[" << dims.outer << ", " << dims.size << ", " << dims.inner << "] log " << dims.log);
  Guarded<float> x(size, misalignment), y(size, misalignment), dy(size, misalignment), dx(size, misalignment);
  fill_random(x.span(), size + 1, -range, range);
  fill_random(dy.span(), size + 2);
  const auto wide_x = widened(x.span()), wide_dy = widened(dy.span());
  std::vector<double> expected(size);
  kernels::softmax_forward(device, dims, std::span<const double>(wide_x), expected);
  kernels::softmax_forward(device, dims, std::as_const(x).span(), y.span());
  require_close(y.span(), expected, 1e-6);
  const auto wide_y = widened(y.span());
  kernels::softmax_backward(device, dims, std::span<const double>(wide_y), wide_dy, expected);
  kernels::softmax_backward(device, dims, std::as_const(y).span(), std::as_const(dy).span(), dx.span());
  require_close(dx.span(), expected, 1e-6, 1);  // of dy, which may cancel
  REQUIRE((x.intact() && y.intact() && dy.intact() && dx.intact()));
  count_case(device.target);
}

std::vector<float> forward(const kernels::Device& device, const SoftmaxDims& dims, std::span<const float> x) {
  std::vector<float> y(x.size());
  kernels::softmax_forward(device, dims, x, y);
  return y;
}

constexpr float kInf = std::numeric_limits<float>::infinity(), kNaN = std::numeric_limits<float>::quiet_NaN();

}  // namespace

TEST_CASE("softmax kernels: every target, axis and size against plain loops in double") {
  for_each_target([](const kernels::Device& device) {
    for (std::size_t size : awkward_sizes())
      for (std::size_t misalignment : kMisalignments)
        for (bool log : {false, true}) {
          check(device, {.outer = size > 1000 ? 1u : 3u, .size = size, .inner = 1, .log = log}, misalignment, 10);
          if (size > 1100) continue;
          check(device, {.outer = 2, .size = 5, .inner = size, .log = log}, misalignment, 10);
          check(device, {.outer = 2, .size = size, .inner = 3, .log = log}, misalignment, 10);
          check(device, {.outer = size, .size = 7, .inner = 1, .log = log}, misalignment, 10);
        }
    check(device, {.outer = 9000, .size = 10, .inner = 1}, 0, 30);
    check(device, {.outer = 3, .size = 40, .inner = 1000}, 0, 30);
  });
}

TEST_CASE("softmax kernels: each probability is right to a few units in the last place, however small") {
  for_each_target([](const kernels::Device& device) {
    for (std::size_t inner : {std::size_t{1}, std::size_t{4}}) {
      const SoftmaxDims dims{.outer = 8, .size = 33, .inner = inner};
      std::vector<float> x(8 * 33 * inner);
      fill_random(x, 3, -4, 4);
      const std::vector<float> y = forward(device, dims, x);
      std::vector<double> expected(x.size());
      kernels::softmax_forward(device, dims, std::span<const double>(widened(x)), expected);
      for (std::size_t i = 0; i < x.size(); ++i)
        REQUIRE(std::abs(y[i] / expected[i] - 1) < 8e-7);  // x - max is rounded
      count_case(device.target);
    }
  });
}

TEST_CASE("softmax kernels: huge numbers, infinities and NaN, in every position") {
  for_each_target([](const kernels::Device& device) {
    for (std::size_t n : {1u, 2u, 5u, 16u, 17u, 40u})
      for (std::size_t inner : {1u, 3u}) {
        const SoftmaxDims soft{.outer = 1, .size = n, .inner = inner},
            log{.outer = 1, .size = n, .inner = inner, .log = true};
        INFO("n " << n << " inner " << inner);
        std::vector<float> x(n * inner, -kInf);
        for (float y : forward(device, soft, x)) REQUIRE(std::isnan(y));
        for (float y : forward(device, log, x)) REQUIRE(std::isnan(y));
        for (float big : {1e38f, -1e38f, 3.4e38f, -3.4e38f}) {
          std::fill(x.begin(), x.end(), big);
          for (float y : forward(device, soft, x)) REQUIRE(std::abs(y * static_cast<float>(n) - 1) < 1e-6f);
          for (float y : forward(device, log, x)) REQUIRE(std::abs(y + std::log(static_cast<float>(n))) < 1e-6f);
        }
        for (std::size_t at = 0; at < n; ++at) {
          std::fill(x.begin(), x.end(), -1e38f);
          x[at * inner] = 1e38f;
          const std::vector<float> y = forward(device, soft, x);
          for (std::size_t k = 0; k < n; ++k) REQUIRE(y[k * inner] == (k == at ? 1 : 0));
          for (float bad : {kNaN, kInf}) {
            x[at * inner] = bad;
            const std::vector<float> spoiled = forward(device, soft, x), spoiled_log = forward(device, log, x);
            for (std::size_t k = 0; k < n; ++k) {
              REQUIRE(std::isnan(spoiled[k * inner]));
              REQUIRE(
                  (std::isnan(spoiled_log[k * inner]) || (bad == kInf && k != at && spoiled_log[k * inner] == -kInf)));
              if (inner > 1) REQUIRE(spoiled[k * inner + 1] == Approx(1.0 / static_cast<double>(n)));
            }
          }
          x[at * inner] = -kInf;
          if (n > 1) REQUIRE(forward(device, soft, x)[at * inner] == 0);
        }
        count_case(device.target);
      }
  });
}
