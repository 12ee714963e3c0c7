#include <cmath>
#include <deque>

#include "autodiff/pointwise/run.h"
#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;
using pointwise::Op;
using pointwise::Params;

namespace {

// What each op is tested on: the domain, and the error allowed for y and dx, in units of the last place of the exact
// result or of `floor`, whichever is larger.
struct Case {
  const char* name;
  Op op;
  Params params;
  double low, high;
  double y_limit, y_floor, dx_limit, dx_floor;
};

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

const std::vector<Case>& cases() {
  static const std::vector<Case> list{
      {"relu", Op::relu, {}, -10, 10, 0, 0, 0, 0},
      {"leaky_relu", Op::leaky_relu, {.a = 0.01}, -10, 10, 1.1, 0, 1.1, 0},
      {"elu", Op::elu, {.a = 0.7, .b = 1}, -30, 10, 3, 0, 3, 0},
      {"selu", Op::elu, {.a = 1.6732632423543772, .b = 1.0507009873554805}, -30, 10, 3, 0, 3, 0},
      {"gelu", Op::gelu, {}, -10, 10, 5, 0.2, 4, 0.5},
      {"gelu_tanh", Op::gelu_tanh, {}, -10, 10, 4, 0.2, 4, 0.5},
      {"silu", Op::silu, {}, -80, 80, 3, 0, 3, 0.5},
      {"mish", Op::mish, {}, -80, 80, 4, 0, 4, 0.5},
      {"softplus", Op::softplus, {.a = 1, .b = 20}, -80, 80, 3, 0, 4, 0},
      {"softplus", Op::softplus, {.a = -2.5, .b = 1e9}, -30, 30, 3, 0.1, 4, 0.1},
      {"sigmoid", Op::sigmoid, {}, -80, 80, 3, 0, 3, 0.5},
      {"tanh", Op::tanh, {}, -20, 20, 3, 0, 3, 1},
      {"hardswish", Op::hardswish, {}, -5, 5, 3, 0.1, 3, 0.5},
      {"hardsigmoid", Op::hardsigmoid, {}, -5, 5, 3, 0.1, 1, 0},
      {"exp", Op::exp, {}, -87, 88, 3, 0, 3, 0},
      {"log", Op::log, {}, 0.001, 100, 3, 0, 1, 0},
      {"log1p", Op::log1p, {}, -0.99, 100, 3, 0, 2, 0},
      {"expm1", Op::expm1, {}, -20, 80, 3, 0, 3, 0},
      {"sqrt", Op::sqrt, {}, 0.001, 100, 1, 0, 2, 0},
      {"rsqrt", Op::rsqrt, {}, 0.001, 100, 2, 0, 6, 0},
      {"abs", Op::abs, {}, -10, 10, 0, 0, 0, 0},
      {"square", Op::square, {}, -10, 10, 1, 0, 1, 0},
      {"reciprocal", Op::reciprocal, {}, 0.01, 10, 1, 0, 3, 0},
      {"sin", Op::sin, {}, -1000, 1000, 3, 0, 3, 0},
      {"cos", Op::cos, {}, -1000, 1000, 3, 0, 3, 0},
      {"erf", Op::erf, {}, -6, 6, 3, 0, 5, 0.1},
      {"clamp", Op::clamp, {.a = -1, .b = 2}, -4, 4, 0, 0, 0, 0},
  };
  return list;
}

double unit(double expected, double floor) {
  const double size = std::max({std::abs(expected), floor, kTiny});
  return std::ldexp(1.0, std::ilogb(size) - 23);
}

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
Expected in_double(const Case& c, std::span<const float> x, std::span<const float> dy) {
  const kernels::Device& device = contexts().front().device();
  Expected e{std::vector<double>(x.size()), std::vector<double>(x.size())};
  const std::vector<double> wide = widened(x), wide_dy = widened(dy);
  pointwise::forward(device, c.op, c.params, std::span<const double>(wide), e.y);
  pointwise::backward(device, c.op, c.params, pointwise::saves_output(c.op) ? std::span<const double>(e.y) : wide,
                      std::span<const double>(wide_dy), e.dx);
  return e;
}

void require_case(const Case& c, const kernels::Device& device, std::span<const float> x, std::span<const float> dy,
                  const Expected& expected, std::size_t misalignment) {
  Guarded<float> in(x.size(), misalignment), y(x.size(), misalignment), dx(x.size(), misalignment);
  std::ranges::copy(x, in.span().begin());
  const std::span<const float> saved = pointwise::saves_output(c.op) ? y.span() : in.span();
  pointwise::forward(device, c.op, c.params, std::as_const(in).span(), y.span());
  pointwise::backward(device, c.op, c.params, saved, dy, dx.span());
  INFO(c.name << " on " << target_name(device.target) << ", size " << x.size() << ", misalignment " << misalignment);
  REQUIRE(worst_error(std::as_const(y).span(), expected.y, c.y_floor) <= c.y_limit);
  REQUIRE(worst_error(std::as_const(dx).span(), expected.dx, c.dx_floor) <= c.dx_limit);
  REQUIRE((in.intact() && y.intact() && dx.intact()));
  count_case(device.target);
}

}  // namespace

TEST_CASE("lanes: every op on every target, size and alignment against double") {
  for (const Case& c : cases())
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

TEST_CASE("lanes: limits at infinity and NaN in every lane, forward and backward") {
  struct Limit {
    Op op;
    Params params;
    double y_low, y_high, slope_low, slope_high;  // at -infinity and infinity
  };
  const double inf = INFINITY, nan = NAN;
  const std::vector<Limit> limits{
      {Op::relu, {}, 0, inf, 0, 1},
      {Op::leaky_relu, {.a = 0.5}, -inf, inf, 0.5, 1},
      {Op::elu, {.a = 0.75, .b = 1}, -0.75, inf, 0, 1},
      {Op::gelu, {}, 0, inf, 0, 1},
      {Op::gelu_tanh, {}, 0, inf, 0, 1},
      {Op::silu, {}, 0, inf, 0, 1},
      {Op::mish, {}, 0, inf, 0, 1},
      {Op::softplus, {.a = 1, .b = 20}, 0, inf, 0, 1},
      {Op::softplus, {.a = 1, .b = INFINITY}, 0, inf, 0, 1},
      {Op::sigmoid, {}, 0, 1, 0, 0},
      {Op::tanh, {}, -1, 1, 0, 0},
      {Op::hardswish, {}, 0, inf, 0, 1},
      {Op::hardsigmoid, {}, 0, 1, 0, 0},
      {Op::exp, {}, 0, inf, 0, inf},
      {Op::log, {}, nan, inf, 0, 0},
      {Op::log1p, {}, nan, inf, 0, 0},
      {Op::expm1, {}, -1, inf, 0, inf},
      {Op::sqrt, {}, nan, inf, nan, 0},
      {Op::rsqrt, {}, nan, 0, nan, 0},
      {Op::abs, {}, inf, inf, -1, 1},
      {Op::square, {}, inf, inf, -inf, inf},
      {Op::reciprocal, {}, 0, 0, 0, 0},
      {Op::sin, {}, nan, nan, nan, nan},
      {Op::cos, {}, nan, nan, nan, nan},
      {Op::erf, {}, -1, 1, 0, 0},
      {Op::clamp, {.a = -1, .b = 2}, -1, 2, 0, 0},
  };
  const auto same = [](double found, double wanted) {
    return std::isnan(wanted) ? std::isnan(found) : found == wanted;
  };
  for (const Limit& limit : limits)
    for (const Context& context : contexts()) {
      const kernels::Device& device = context.device();
      INFO("op " << static_cast<int>(limit.op) << " on " << target_name(device.target));
      const bool saves_y = pointwise::saves_output(limit.op);
      const auto check = [&]<class T>(T value, std::size_t at, double wanted, double slope) {
        std::vector<T> x(37, T(0.5)), y(37), dy(37, T(1)), dx(37);
        x[at] = value;
        pointwise::forward(device, limit.op, limit.params, std::span<const T>(x), y);
        pointwise::backward(device, limit.op, limit.params, std::span<const T>(saves_y ? y : x), std::span<const T>(dy),
                            dx);
        INFO("x " << value << " at " << at << ": y " << y[at] << ", dx " << dx[at]);
        REQUIRE(same(y[at], wanted));
        if (!std::isnan(value)) REQUIRE(same(dx[at], slope));
        REQUIRE(std::isfinite(y[36 - at]) == (at != 18 || std::isfinite(y[at])));
      };
      for (std::size_t at = 0; at < 37; ++at) {
        check(-INFINITY, at, limit.y_low, limit.slope_low);
        check(INFINITY, at, limit.y_high, limit.slope_high);
        check(NAN, at, nan, nan);
      }
      check(-inf, 3, limit.y_low, limit.slope_low);
      check(inf, 3, limit.y_high, limit.slope_high);
      check(nan, 3, nan, nan);
      count_case(device.target);
    }
}

TEST_CASE("lanes: huge and tiny numbers give what double gives") {
  for (const Case& c : cases()) {
    if (c.op == Op::sin || c.op == Op::cos) continue;  // the slope's digits depend on all of x's
    const std::vector<float> x{-1e30f, 1e30f,  -3e38f,  3e38f, -1000, 1000,  -200, 200,    -90,    90, 0,
                               -0.0f,  1e-20f, -1e-20f, -40,   40,    -3.0f, 3.0f, 1e-37f, 1e-30f, 1};
    const std::vector<float> dy(x.size(), 1.0f);
    const Expected e = in_double(c, x, dy);
    for (const Context& context : contexts()) {
      std::vector<float> y(x.size()), dx(x.size());
      pointwise::forward(context.device(), c.op, c.params, std::span<const float>(x), y);
      pointwise::backward(context.device(), c.op, c.params,
                          std::span<const float>(pointwise::saves_output(c.op) ? y : x), std::span<const float>(dy),
                          dx);
      for (std::size_t i = 0; i < x.size(); ++i) {
        INFO(c.name << " on " << target_name(context.device().target) << ": x " << x[i] << " y " << y[i] << " dx "
                    << dx[i] << ", in double " << e.y[i] << " and " << e.dx[i]);
        const auto near = [](double found, double wanted) {
          if (std::isnan(wanted)) return std::isnan(found);
          if (std::abs(wanted) > 3.4e38) return found == static_cast<float>(wanted);
          return std::abs(found - wanted) <= 2e-6 * std::abs(wanted) + 2e-7;
        };
        REQUIRE(near(y[i], e.y[i]));
        // 1 / sqrt and 1 / x leave y's range where their slopes do not exist in float either
        if (c.op != Op::reciprocal && c.op != Op::rsqrt) REQUIRE(near(dx[i], e.dx[i]));
      }
      count_case(context.device().target);
    }
  }
}

TEST_CASE("lanes: prelu on every target, with channels that do and do not fill vectors") {
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
