#include <algorithm>
#include <cmath>
#include <deque>

#include "autodiff/pointwise/run.h"
#include "tests/catch.h"
#include "tests/support/pointwise_cases.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

constexpr double kTiny = 1.2e-38;

// Each with its target's device; made once, for a context starts threads.
std::deque<Context>& contexts() {
  static std::deque<Context> made = [] {
    std::deque<Context> list;
    for (Target target : tested_targets()) list.emplace_back(ContextOptions{.threads = 2, .target = target});
    return list;
  }();
  return made;
}

double unit(double expected, double floor) {
  const double size = std::max({std::abs(expected), floor, kTiny});
  return std::ldexp(1.0, std::ilogb(size) - 23);
}

bool same(double found, double wanted) { return std::isnan(wanted) ? std::isnan(found) : found == wanted; }

// The largest error in units of the last place; infinite where only one side is NaN or infinite.
double worst_error(std::span<const float> found, std::span<const double> expected, double floor) {
  double worst = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double value = found[i], wanted = expected[i];
    if (std::isnan(wanted) ? std::isnan(value) : value == static_cast<float>(wanted)) continue;
    const double error = std::abs(value - wanted) / unit(wanted, floor);
    worst = std::max(worst, std::isfinite(error) ? error : INFINITY);
  }
  return worst;
}

struct Expected {
  std::vector<double> y, dx;
};

// In double, from the same floats.
Expected in_double(const PointwiseCase& c, std::span<const float> x, std::span<const float> dy) {
  const kernels::Device& device = contexts().front().device();
  Expected e{std::vector<double>(x.size()), std::vector<double>(x.size())};
  const std::vector<double> wide = widened(x), wide_dy = widened(dy);
  pointwise::forward(device, c.op, c.params(), std::span<const double>(wide), e.y);
  pointwise::backward(device, c.op, c.params(),
                      pointwise::saves_output(c.op, c.params()) ? std::span<const double>(e.y) : wide,
                      std::span<const double>(wide_dy), e.dx);
  return e;
}

void require_case(const PointwiseCase& c, const kernels::Device& device, std::span<const float> x,
                  std::span<const float> dy, const Expected& expected, std::size_t misalignment) {
  Guarded<float> in(x.size(), misalignment), y(x.size(), misalignment), dx(x.size(), misalignment);
  std::ranges::copy(x, in.span().begin());
  const std::span<const float> saved = pointwise::saves_output(c.op, c.params()) ? y.span() : in.span();
  pointwise::forward(device, c.op, c.params(), std::as_const(in).span(), y.span());
  pointwise::backward(device, c.op, c.params(), saved, dy, dx.span());
  INFO(c.name() << " on " << target_name(device.target) << ", size " << x.size() << ", misalignment " << misalignment);
  REQUIRE(worst_error(std::as_const(y).span(), expected.y, c.y.floor) <= c.y.limit);
  REQUIRE(worst_error(std::as_const(dx).span(), expected.dx, c.dx.floor) <= c.dx.limit);
  REQUIRE((in.intact() && y.intact() && dx.intact()));
  count_case(device.target);
}

}  // namespace

TEST_CASE("pointwise kernels: every op on every target, size and alignment against double") {
  for (const PointwiseCase& c : pointwise_cases())
    for (std::size_t size : awkward_sizes()) {
      std::vector<float> x(size), dy(size);
      fill_random(std::span<float>(x), size, c.low, c.high);
      fill_random(std::span<float>(dy), size + 1, 0.5, 2);
      const Expected expected = in_double(c, x, dy);
      for (const Context& context : contexts())
        for (std::size_t misalignment : kMisalignments)
          if (size < 2000 || misalignment == 1) require_case(c, context.device(), x, dy, expected, misalignment);
    }
}

TEST_CASE("pointwise kernels: limits at infinity, kinks and NaN in every lane, forward and backward") {
  constexpr std::size_t kSize = 37;
  for (const PointwiseCase& c : pointwise_cases())
    for (const Context& context : contexts()) {
      const kernels::Device& device = context.device();
      INFO(c.name() << " on " << target_name(device.target));
      const bool saves_y = pointwise::saves_output(c.op, c.params());
      const auto check = [&]<class T>(T value, std::size_t at, double wanted, double slope) {
        std::vector<T> x(kSize, T(0.5)), y(kSize), dy(kSize, T(1)), dx(kSize);
        x[at] = value;
        pointwise::forward(device, c.op, c.params(), std::span<const T>(x), y);
        pointwise::backward(device, c.op, c.params(), std::span<const T>(saves_y ? y : x), std::span<const T>(dy), dx);
        INFO("x " << value << " at " << at << ": y " << y[at] << ", dx " << dx[at]);
        REQUIRE(same(y[at], wanted));
        if (!std::isnan(value)) REQUIRE(same(dx[at], slope));
        REQUIRE((at == kSize / 2 || std::isfinite(y[kSize - 1 - at])));
      };
      for (std::size_t at = 0; at < kSize; ++at) {
        for (const Point& point : c.points) check(static_cast<float>(point.x), at, point.y, point.slope);
        check(NAN, at, NAN, NAN);
      }
      for (const Point& point : c.points) check(point.x, 3, point.y, point.slope);
      check(std::nan(""), 3, NAN, NAN);
      count_case(device.target);
    }
}

TEST_CASE("pointwise kernels: huge and tiny numbers give what double gives") {
  for (const PointwiseCase& c : pointwise_cases()) {
    const std::vector<float> x{-1e30f, 1e30f,  -3e38f,  3e38f, -1000, 1000,  -200, 200,    -90,    90, 0,
                               -0.0f,  1e-20f, -1e-20f, -40,   40,    -3.0f, 3.0f, 1e-37f, 1e-30f, 1};
    const std::vector<float> dy(x.size(), 1.0f);
    const Expected e = in_double(c, x, dy);
    for (const Context& context : contexts()) {
      std::vector<float> y(x.size()), dx(x.size());
      pointwise::forward(context.device(), c.op, c.params(), std::span<const float>(x), y);
      pointwise::backward(context.device(), c.op, c.params(),
                          std::span<const float>(pointwise::saves_output(c.op, c.params()) ? y : x),
                          std::span<const float>(dy), dx);
      for (std::size_t i = 0; i < x.size(); ++i) {
        INFO(c.name() << " on " << target_name(context.device().target) << ": x " << x[i] << " y " << y[i] << " dx "
                      << dx[i] << ", in double " << e.y[i] << " and " << e.dx[i]);
        const auto near = [](double found, double wanted) {
          if (std::isnan(wanted)) return std::isnan(found);
          if (std::abs(wanted) > 3.4e38) return found == static_cast<float>(wanted);
          return std::abs(found - wanted) <= 2e-6 * std::abs(wanted) + 2e-7;
        };
        if (c.huge_y) REQUIRE(near(y[i], e.y[i]));
        if (c.huge_dx) REQUIRE(near(dx[i], e.dx[i]));
      }
      count_case(context.device().target);
    }
  }
}

TEST_CASE("pointwise kernels: prelu on every target, with channels that do and do not fill vectors") {
  for (const Context& context : contexts())
    for (std::size_t channels : {1u, 2u, 3u, 7u, 8u, 16u, 17u, 64u, 511u, 513u})
      for (std::size_t rows : {0u, 1u, 2u, 5u, 64u, 301u})
        for (std::size_t misalignment : kMisalignments) {
          const std::size_t size = channels * rows;
          Guarded<float> x(size, misalignment), w(channels, misalignment), y(size, misalignment),
              dy(size, misalignment), dx(size, misalignment), dw(channels, misalignment);
          fill_random(x.span(), size);
          fill_random(w.span(), channels);
          fill_random(dy.span(), size + 1);
          const std::vector<double> wx = widened(x.span()), ww = widened(w.span()), wdy = widened(dy.span());
          std::vector<double> ey(size), edx(size), edw(channels);
          const kernels::Device& device = context.device();
          pointwise::prelu(device, std::span<const double>(wx), std::span<const double>(ww), ey);
          pointwise::prelu_backward(device, std::span<const double>(wx), std::span<const double>(ww),
                                    std::span<const double>(wdy), edx, edw);
          pointwise::prelu(device, std::as_const(x).span(), std::as_const(w).span(), y.span());
          pointwise::prelu_backward(device, std::as_const(x).span(), std::as_const(w).span(), std::as_const(dy).span(),
                                    dx.span(), dw.span());
          INFO(rows << " rows of " << channels);
          require_close(y.span(), ey, 1e-6);
          require_close(dx.span(), edx, 1e-6);
          require_close(dw.span(), edw, 1e-6, 1 + std::sqrt(static_cast<double>(rows)));
          REQUIRE((x.intact() && w.intact() && y.intact() && dy.intact() && dx.intact() && dw.intact()));
          count_case(device.target);
        }
}
