#include "autodiff/ops/pointwise.h"

#include <cmath>

#include "autodiff/map.h"
#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/ops.h"

using namespace tapestry;
using namespace tapestry::test;

TEST_CASE("pointwise: gradients of the functions that take every number") {
  check_unary([](const Var& x) { return exp(x); });
  check_unary([](const Var& x) { return expm1(x); });
  check_unary([](const Var& x) { return square(x); });
  check_unary([](const Var& x) { return sin(x); }, {.low = -4, .high = 4});
  check_unary([](const Var& x) { return cos(x); }, {.low = -4, .high = 4});
  check_unary([](const Var& x) { return erf(x); }, {.low = -3, .high = 3});
  check_unary([](const Var& x) { return abs(x); }, {.away_from = 0});
}

TEST_CASE("pointwise: gradients of the functions of positive numbers") {
  const OpCheck positive{.low = 0.5, .high = 3};
  check_unary([](const Var& x) { return log(x); }, positive);
  check_unary([](const Var& x) { return log1p(x); }, {.low = -0.5, .high = 3});
  check_unary([](const Var& x) { return sqrt(x); }, positive);
  check_unary([](const Var& x) { return rsqrt(x); }, positive);
  check_unary([](const Var& x) { return reciprocal(x); }, positive);
  check_unary([](const Var& x) { return reciprocal(x); }, {.low = -3, .high = -0.5});
}

TEST_CASE("clamp: gradients with one bound and with both") {
  check_unary([](const Var& x) { return clamp(x, {.min = -0.25}); }, {.away_from = -0.25});
  check_unary([](const Var& x) { return clamp(x, {.max = 0.5}); }, {.away_from = 0.5});
  check_unary([](const Var& x) { return clamp(x, {.min = 0.25, .max = 4}); }, {.away_from = 0.25});
  check_unary([](const Var& x) { return clamp(x); });
}

TEST_CASE("pointwise: slopes at kinks and ends") {
  Context context{{.threads = 1}};
  Tape tape{context};
  const Var x = tape.variable(context.tensor({5}, {-1, 0, 1, 2, 3}));
  const Gradients gradients = tape.backward(clamp(x, {.min = 0, .max = 2}), context.full({5}, 1));
  const Tensor dx = gradients[x];
  const std::vector<float> found(dx.span<float>().begin(), dx.span<float>().end());
  REQUIRE(found == std::vector<float>{0, 1, 1, 1, 0});
  Tape second{context};
  const Var zero = second.variable(context.full({1}, 0));
  REQUIRE(second.backward(abs(zero))[zero].item() == 0);
}

TEST_CASE("pointwise: the same names serve numbers and Vars") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.full({1}, 1, DType::float64));
  REQUIRE(exp(x).item() == exp(1.0));
  REQUIRE(abs(x).item() == abs(-1.0));
  REQUIRE(sqrt(x).item() == sqrt(1.0));
}

TEST_CASE("pointwise: bad options and types are refused by name and line") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.zeros({2}));
  REQUIRE_THROWS_AS(clamp(x, {.min = 2, .max = 1}), ArgumentError);
  REQUIRE_THROWS_WITH(clamp(x, {.min = 2, .max = 1}),
                      contains("pointwise_test.cc:") && contains("clamp: min 2 is above max 1"));
  REQUIRE_THROWS_AS(clamp(x, {.min = NAN}), ArgumentError);
  REQUIRE_THROWS_AS(exp(Var()), ArgumentError);
  REQUIRE_THROWS_WITH(sqrt(context.input(context.zeros({2}, DType::int64))), contains("sqrt: the input is int64"));
}
