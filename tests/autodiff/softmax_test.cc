#include "autodiff/ops/softmax.h"

#include <cmath>

#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/ops.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

TEST_CASE("softmax and log_softmax: gradients along every axis") {
  const Shape shapes[] = {{},     {1},    {7},       {3, 1},     {1, 5},       {2, 9},    {4, 16},           {3, 17},
                          {0, 4}, {4, 0}, {2, 3, 4}, {1, 33, 2}, {2, 2, 2, 3}, {5, 1, 3}, {2, 1, 2, 1, 2, 3}};
  for (const Shape& shape : shapes)
    for (int axis = -std::max(shape.rank(), 1); axis < std::max(shape.rank(), 1); ++axis) {
      check_op([axis](std::span<const Var> x) { return softmax(x[0], {.axis = axis}); }, {shape},
               {.low = -3, .high = 3});
      check_op([axis](std::span<const Var> x) { return log_softmax(x[0], {.axis = axis}); }, {shape},
               {.low = -3, .high = 3});
    }
}

TEST_CASE("softmax: rows sum to 1, the default axis is the last, numbers match a worked example") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.tensor({2, 3}, {1, 2, 3, -5, 0, 5}));
  const Tensor y = softmax(x).value();
  const auto values = y.span<float>();
  REQUIRE(values[0] == Approx(0.09003057));
  REQUIRE(values[1] == Approx(0.24472847));
  REQUIRE(values[2] == Approx(0.66524096));
  REQUIRE(values[3] + values[4] + values[5] == Approx(1));
  REQUIRE(log_softmax(x).value().span<float>()[0] == Approx(std::log(0.09003057)));
}

TEST_CASE("softmax: results are the same bits at any number of threads") {
  Context one{{.threads = 1}}, seven{{.threads = 7}};
  const Tensor x = one.normal({300, 700}, 0, 3, 1);
  for (int axis : {0, 1}) {
    const Tensor a = softmax(one.input(x), {.axis = axis}).value(), b = softmax(seven.input(x), {.axis = axis}).value();
    REQUIRE(std::ranges::equal(a.span<float>(), b.span<float>()));
  }
}

TEST_CASE("softmax: an axis that does not exist, whole numbers and nothing at all are refused") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.zeros({8, 10}));
  REQUIRE_THROWS_AS(softmax(x, {.axis = 3}), ShapeError);
  REQUIRE_THROWS_WITH(softmax(x, {.axis = 3}), contains("softmax: axis 3 does not exist in [8, 10]"));
  REQUIRE_THROWS_WITH(log_softmax(x, {.axis = -3}), contains("log_softmax: axis -3 does not exist in [8, 10]"));
  REQUIRE_THROWS_WITH(softmax(x, {.axis = 3}), contains("softmax_test.cc:"));
  REQUIRE_THROWS_AS(softmax(context.input(context.zeros({3}, DType::int64))), ArgumentError);
  REQUIRE_THROWS_AS(softmax(Var{}), ArgumentError);
}
