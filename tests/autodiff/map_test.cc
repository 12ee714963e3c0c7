#include "autodiff/map.h"

#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/ops.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> list{{},     {1},    {2},       {3},       {7},          {8},  {9},    {17},
                                       {2, 3}, {4, 5}, {3, 1, 4}, {2, 2, 5}, {1, 2, 3, 2}, {33}, {0, 3}, {5, 1, 13}};
  return list;
}

// Checks a unary lambda on all shapes, with slopes from dual numbers.
template <class F>
void check_dual(const F& f, OpCheck check = {}) {
  for (const Shape& shape : shapes())
    check_op([&](std::span<const Var> in) { return map("f", in[0], f); }, {shape}, check);
}

}  // namespace

TEST_CASE("map: a lambda with its slope") {
  for (const Shape& shape : shapes()) {
    check_op(
        [](std::span<const Var> in) {
          return map(
              "cube", in[0], [](auto x) { return x * x * x; }, [](auto x) { return 3 * x * x; });
        },
        {shape});
    check_op(
        [](std::span<const Var> in) {
          return map(
              "exp", in[0], [](auto x) { return exp(x); }, [](auto, auto y) { return y; });
        },
        {shape});
  }
}

TEST_CASE("map: a lambda of two inputs with its slopes") {
  for (const Shape& shape : shapes())
    check_op(
        [](std::span<const Var> in) {
          return map(
              "f", in[0], in[1], [](auto x, auto y) { return x * exp(y); }, [](auto, auto y) { return exp(y); },
              [](auto x, auto y) { return x * exp(y); });
        },
        {shape, shape});
}

TEST_CASE("map: slopes of arithmetic from dual numbers") {
  check_dual([](auto x) { return x / (1 + abs(x)); }, {.away_from = 0});
  check_dual([](auto x) { return -x + 2 * x - x / 3 + 1 / (x + 4) + (+x); });
  check_dual([](auto x) {
    auto y = x;
    y += 2 * x;
    y *= x;
    y -= x;
    y /= x + 5;
    return y;
  });
  check_dual([](auto x) { return select(x > 0, x * x, 0.5f * x); }, {.away_from = 0});
  check_dual([](auto x) { return select(x <= 0, 0, x) + select(x >= 0, x, 1) * x + select(x < 0, 1, 2) * x; },
             {.away_from = 0});
  check_dual([](auto x) { return max(x, 0) + min(0, x * x * x) + max(0.25f * x, x) + min(x, 0.25f * x); },
             {.away_from = 0});
  check_dual([](auto) { return 2.5f; });
}

TEST_CASE("map: slopes of functions from dual numbers") {
  check_dual([](auto x) { return exp(x) + exp2(x) + expm1(x); });
  check_dual([](auto x) { return log(x) + log2(x) + log10(x) + log1p(x); }, {.low = 0.5, .high = 2});
  check_dual([](auto x) { return sqrt(x) + cbrt(x); }, {.low = 0.5, .high = 2});
  check_dual([](auto x) { return sin(x) + cos(2 * x) + tan(x); });
  check_dual([](auto x) { return asin(x) + acos(x * x) + atan(x); }, {.low = -0.75, .high = 0.75, .tolerance = 4e-6});
  check_dual([](auto x) { return sinh(x) + cosh(x) * tanh(x); }, {.tolerance = 4e-6});
  check_dual([](auto x) { return erf(x) + erfc(x / 2); });
  check_dual([](auto x) { return pow(x, 2.5f) + pow(x, 3); }, {.low = 0.5, .high = 2, .tolerance = 4e-6});
  check_dual([](auto x) { return pow(x, 2); });
}

TEST_CASE("map: slopes of two inputs from dual numbers") {
  for (const Shape& shape : shapes()) {
    check_op(
        [](std::span<const Var> in) {
          return map("f", in[0], in[1], [](auto x, auto y) { return x * tanh(y) - y / (2 + x); });
        },
        {shape, shape});
    check_op(
        [](std::span<const Var> in) { return map("power", in[0], in[1], [](auto x, auto y) { return pow(x, y); }); },
        {shape, shape}, {.low = 0.5, .high = 2, .tolerance = 4e-6});
  }
}

TEST_CASE("map: names of the scalar functions stay unambiguous beside the library's own") {
  REQUIRE(exp(0.0) == 1.0);
  REQUIRE(std::is_same_v<decltype(exp(1.0f)), float>);
  REQUIRE(max(2.0f, 1) == 2.0f);
  REQUIRE(min(2.0, 1.0f) == 1.0);
  REQUIRE(select(true, 1.0f, 2.0f) == 1.0f);
  REQUIRE(std::isnan(max(0.0f, NAN)));
}

TEST_CASE("map_into: every target, size and alignment, a special value in every lane") {
  for_each_target([](const kernels::Device& device) {
    for (std::size_t size : awkward_sizes())
      for (std::size_t misalignment : kMisalignments) {
        Guarded<float> x(size, misalignment), y(size, misalignment);
        fill_random(x.span(), size, -3, 3);
        for (std::size_t i = 0; i < size; i += 5)
          x[i] = (i / 5) % 3 == 0 ? NAN : (i / 5) % 3 == 1 ? INFINITY : -INFINITY;
        const auto f = [](auto a) { return select(a <= 0, 0, a); };
        map_into(device, y.span(), f, std::as_const(x).span());
        for (std::size_t i = 0; i < size; ++i)
          REQUIRE((std::isnan(x[i]) ? std::isnan(y[i]) : y[i] == (x[i] > 0 ? x[i] : 0)));
        map_into(device, x.span(), f, std::as_const(x).span());
        for (std::size_t i = 0; i < size; ++i) REQUIRE((std::isnan(x[i]) ? std::isnan(y[i]) : x[i] == y[i]));
        REQUIRE((x.intact() && y.intact()));
        count_case(device.target);
      }
  });
}

TEST_CASE("map: only the wanted slope is computed, and constants are not recorded") {
  Context context{{.threads = 1}};
  Tape tape{context};
  const Var x = tape.variable(context.tensor({3}, {1, 2, 3})), c = tape.input(context.tensor({3}, {4, 5, 6}));
  const auto product = [](auto a, auto b) { return a * b; };
  const Gradients gradients = tape.backward(map("f", x, c, product), context.full({3}, 1));
  REQUIRE(gradients[x].span<float>()[2] == 6);
  REQUIRE_FALSE(map("f", context.input(x.value()), context.input(c.value()), product).requires_grad());
}

TEST_CASE("map: inputs that do not fit are refused by name") {
  Context context{{.threads = 1}};
  const auto in = [&](const Shape& shape, DType dtype = DType::float32) {
    return context.input(context.zeros(shape, dtype));
  };
  const auto f = [](auto x, auto y) { return x + y; };
  REQUIRE_THROWS_AS(map("mine", in({2}), in({3}), f), ShapeError);
  REQUIRE_THROWS_WITH(map("mine", in({2}), in({3}), f),
                      contains("map_test.cc:") && contains("mine: ") && contains("[2]") && contains("[3]"));
  REQUIRE_THROWS_AS(map("mine", in({2}), in({2}, DType::float64), f), ArgumentError);
  REQUIRE_THROWS_AS(map("mine", in({2}, DType::int64), [](auto x) { return x; }), ArgumentError);
  REQUIRE_THROWS_AS(map("mine", Var(), [](auto x) { return x; }), ArgumentError);
}
