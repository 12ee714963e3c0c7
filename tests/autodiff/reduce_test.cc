#include "autodiff/ops/reduce.h"

#include <cmath>

#include "tests/autodiff/reductions.h"
#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

TEST_CASE("sum, mean: gradients over all sets of axes") {
  check_reductions([](const Var& x, ReduceOptions options) { return sum(x, options); });
  check_reductions([](const Var& x, ReduceOptions options) { return mean(x, options); });
}

TEST_CASE("reductions: values and shapes") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.tensor({2, 3}, {1, 2, 3, 4, 5, 6}));
  REQUIRE(sum(x).shape() == Shape{});
  REQUIRE(sum(x).item() == 21);
  REQUIRE(sum(x, {.keepdim = true}).shape() == Shape{1, 1});
  REQUIRE(sum(x, {.axes = 1}).shape() == Shape{2});
  REQUIRE(sum(x, {.axes = 1}).value().span<float>()[1] == 15);
  REQUIRE(sum(x, {.axes = {0}, .keepdim = true}).shape() == Shape{1, 3});
  REQUIRE(mean(x, {.axes = -2}).value().span<float>()[2] == 4.5f);
  REQUIRE(sum(x, {.axes = -1}).shape() == Shape{2});
  REQUIRE(sum(x, {.axes = -1}).value().span<float>()[1] == 15);
  const Var nothing = context.input(context.zeros({0, 3}));
  REQUIRE(sum(nothing).item() == 0);
  REQUIRE(sum(nothing, {.axes = 0}).value().span<float>()[2] == 0);
  REQUIRE(sum(nothing, {.axes = 1}).shape() == Shape{0});
}

TEST_CASE("reductions: errors name the op, the line, the axis and the shape") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.zeros({2, 3}));
  REQUIRE_THROWS_AS(sum(x, {.axes = 2}), ShapeError);
  REQUIRE_THROWS_WITH(sum(x, {.axes = 2}),
                      contains("reduce_test.cc") && contains("sum: axis 2 does not exist in [2, 3]"));
  REQUIRE_THROWS_WITH(mean(x, {.axes = {1, -1}}), contains("mean: axis -1 is named twice; x is [2, 3]"));
  REQUIRE_THROWS_WITH(mean(context.input(context.zeros({0, 3}))),
                      contains("mean: there is nothing to reduce in [0, 3]"));
  REQUIRE_THROWS_WITH(sum(context.input(context.zeros({2}, DType::int64))),
                      contains("sum: needs float32 or float64, got int64"));
  REQUIRE_THROWS_WITH(sum(Var()), contains("sum: the input holds nothing"));
}

TEST_CASE("logsumexp: gradients over all sets of axes") {
  check_reductions([](const Var& x, ReduceOptions options) { return logsumexp(x, options); });
  check_reductions([](const Var& x, ReduceOptions options) { return logsumexp(x, options); }, 1,
                   {.low = -30, .high = 30, .seed = 2});
}

TEST_CASE("logsumexp: no overflow, no underflow, infinities and NaN") {
  for (DType dtype : {DType::float32, DType::float64})
    for (Target target : tested_targets()) {
      Context context{{.threads = 1, .target = target}};
      Tape tape{context};
      const Tensor rows = context.tensor({7, 2}, {1000, 1000, -1000, -1000, -INFINITY, 2, -INFINITY, -INFINITY,
                                                  INFINITY, 1, INFINITY, -INFINITY, 5, NAN});
      const Var x = tape.variable(rows.to(dtype));
      const Var y = logsumexp(x, {.axes = 1});
      const Tensor found = y.value().to(DType::float32);
      require_close(
          std::as_const(found).span<float>(),
          std::vector<double>{1000 + std::log(2.0), -1000 + std::log(2.0), 2, -INFINITY, INFINITY, INFINITY, NAN},
          1e-7);
      const Gradients gradients = tape.backward(y, context.full({7}, 1).to(dtype));
      const Tensor dx = gradients[x].to(DType::float64);
      for (std::size_t i = 0; i < 4; ++i) REQUIRE(dx.span<double>()[i] == Approx(0.5));
      REQUIRE(dx.span<double>()[4] == 0);
      REQUIRE(dx.span<double>()[5] == 1);
      REQUIRE((dx.span<double>()[6] == 0 && dx.span<double>()[7] == 0));
      REQUIRE(std::isnan(dx.span<double>()[12]));
    }
}

TEST_CASE("var: gradients over all sets of axes, with and without a correction") {
  for (int correction : {0, 1, 2})
    check_reductions(
        [&](const Var& x, ReduceOptions options) {
          return var(x, {.axes = options.axes, .keepdim = options.keepdim, .correction = correction});
        },
        correction + 1);
}

TEST_CASE("var: values and shapes") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.tensor({2, 4}, {1, 2, 3, 6, 5, 5, 5, 5}));
  REQUIRE(var(x, {.axes = 1}).value().span<float>()[0] == Approx(14.0 / 3));
  REQUIRE(var(x, {.axes = 1, .correction = 0}).value().span<float>()[0] == 3.5f);
  REQUIRE(var(x, {.axes = 1, .correction = 3}).value().span<float>()[0] == 14);
  REQUIRE(var(x, {.axes = 1}).value().span<float>()[1] == 0);
  REQUIRE(var(x, {.axes = {1}, .keepdim = true}).shape() == Shape{2, 1});
  REQUIRE(var(x).shape() == Shape{});
  REQUIRE(var(context.input(context.zeros({0, 3})), {.axes = 1}).shape() == Shape{0});
  for (float bad : {NAN, INFINITY, -INFINITY})
    REQUIRE(std::isnan(var(context.input(context.tensor({3}, {1, bad, 2}))).item()));
}

TEST_CASE("var: a large mean takes no digits") {
  for (Target target : tested_targets()) {
    Context context{{.threads = 2, .target = target}};
    Tape tape{context};
    Tensor numbers = context.empty({3, 1000});
    const std::span<float> span = numbers.span<float>();
    for (std::size_t i = 0; i < span.size(); ++i)
      span[i] = 1e7f + static_cast<float>(i % 8);  // a mean between two floats
    Tape exact_tape{context};
    const Var x = tape.variable(numbers), exact_x = exact_tape.variable(numbers.to(DType::float64));
    const Var y = var(x, {.axes = 1}), exact_y = var(exact_x, {.axes = 1});
    require_close(y.value().span<float>(), exact_y.value().span<double>(), 1e-7);
    const Tensor dy = context.tensor({3}, {1, 2, 3});
    const Gradients found = tape.backward(y, dy), expected = exact_tape.backward(exact_y, dy.to(DType::float64));
    const Tensor dx = found[x], exact_dx = expected[exact_x];
    require_close(dx.span<float>(), exact_dx.span<double>(), 1e-6);
  }
}

TEST_CASE("logsumexp, var: errors name the op, the axis and the numbers") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.zeros({2, 1}));
  const Var nothing = context.input(context.zeros({0, 3})), labels = context.input(context.zeros({2}, DType::int64));
  REQUIRE_THROWS_AS(logsumexp(x, {.axes = 2}), ShapeError);
  REQUIRE_THROWS_WITH(logsumexp(x, {.axes = -3}), contains("logsumexp: axis -3 does not exist in [2, 1]"));
  REQUIRE_THROWS_WITH(logsumexp(x, {.axes = {0, 0}}), contains("logsumexp: axis 0 is named twice; x is [2, 1]"));
  REQUIRE_THROWS_WITH(logsumexp(nothing), contains("logsumexp: there is nothing to reduce in [0, 3]"));
  REQUIRE_THROWS_WITH(logsumexp(labels), contains("logsumexp: needs float32 or float64, got int64"));
  REQUIRE_THROWS_AS(var(x, {.axes = 1}), ShapeError);
  REQUIRE_THROWS_WITH(var(x, {.axes = 1}),
                      contains("var: each result needs at least 2 elements and has 1; x is [2, 1]"));
  REQUIRE_THROWS_WITH(var(x, {.correction = 2}), contains("var: each result needs at least 3 elements and has 2"));
  REQUIRE_THROWS_WITH(var(nothing, {.correction = 0}), contains("var: there is nothing to reduce in [0, 3]"));
  REQUIRE_THROWS_AS(var(x, {.correction = -1}), ArgumentError);
  REQUIRE_THROWS_WITH(var(x, {.correction = -1}), contains("var: correction must be at least 0, got -1"));
  REQUIRE_THROWS_WITH(var(x, {.axes = 2}), contains("var: axis 2 does not exist in [2, 1]"));
  REQUIRE_THROWS_WITH(var(x, {.axes = {1, -1}}), contains("var: axis -1 is named twice; x is [2, 1]"));
  REQUIRE_THROWS_WITH(var(labels), contains("var: needs float32 or float64, got int64"));
}
