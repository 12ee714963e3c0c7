#include "autodiff/ops/extreme.h"

#include <cmath>

#include "autodiff/ops/elementwise.h"
#include "tests/autodiff/reductions.h"
#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

std::vector<std::int64_t> numbers(const Tensor& x) {
  const std::span<const std::int64_t> span = x.span<std::int64_t>();
  return {span.begin(), span.end()};
}

std::vector<double> floats(const Tensor& x) {
  const Tensor wide = x.to(DType::float64);
  const std::span<const double> span = wide.span<double>();
  return {span.begin(), span.end()};
}

}  // namespace

TEST_CASE("max, min: gradients over all sets of axes") {
  const OpCheck check{.low = -2, .high = 2, .seed = 2};  // no two so close that a difference takes one for the other
  check_reductions([](const Var& x, ReduceOptions options) { return max(x, options); }, 1, check);
  check_reductions([](const Var& x, ReduceOptions options) { return min(x, options); }, 1, check);
}

TEST_CASE("max, min, argmax, argmin: values and shapes") {
  Context context{{.threads = 1}};
  for (DType dtype : {DType::float32, DType::float64}) {
    const Var x = context.input(context.tensor({2, 2, 3}, {1, 7, 3, 4, 5, 6, 0, 8, 2, 9, -1, 7}).to(dtype));
    REQUIRE(max(x).item() == 9);
    REQUIRE(min(x).item() == -1);
    REQUIRE(argmax(x).item() == 9);
    REQUIRE(argmin(x).item() == 10);
    REQUIRE(argmax(x).dtype() == DType::int64);
    REQUIRE(argmax(x).shape() == Shape{});
    REQUIRE(argmax(x, {.keepdim = true}).shape() == Shape{1, 1, 1});
    REQUIRE(max(x, {.axes = {0, -1}, .keepdim = true}).shape() == Shape{1, 2, 1});
    REQUIRE(floats(max(x, {.axes = {0, -1}}).value()) == std::vector<double>{8, 9});
    REQUIRE(floats(min(x, {.axes = 1}).value()) == std::vector<double>{1, 5, 3, 0, -1, 2});
    REQUIRE(numbers(argmax(x, {.axes = -1})) == std::vector<std::int64_t>{1, 2, 1, 0});
    REQUIRE(numbers(argmin(x, {.axes = 1})) == std::vector<std::int64_t>{0, 1, 0, 0, 1, 0});
    REQUIRE(numbers(argmax(x, {.axes = {0, 2}})) == std::vector<std::int64_t>{4, 3});
    REQUIRE(argmin(x, {.axes = {1}, .keepdim = true}).shape() == Shape{2, 1, 3});
  }
}

TEST_CASE("max, min: elements that tie share the gradient evenly") {
  for (DType dtype : {DType::float32, DType::float64})
    for (Target target : tested_targets()) {
      Context context{{.threads = 1, .target = target}};
      Tape tape{context};
      const Var x =
          tape.variable(context
                            .tensor({5, 4}, {1,   3, 3,         2,        5,         5,        5, 5,    NAN, 1,
                                             NAN, 2, -INFINITY, INFINITY, -INFINITY, INFINITY, 0, -0.0, -1,  -1})
                            .to(dtype));
      const Tensor dy = context.tensor({5}, {12, 4, 8, 2, 6}).to(dtype);
      const Var largest = max(x, {.axes = 1}), smallest = min(x, {.axes = 1});
      REQUIRE(std::isnan(floats(largest.value())[2]));
      REQUIRE(std::isnan(floats(smallest.value())[2]));
      REQUIRE(floats(largest.value())[3] == INFINITY);
      REQUIRE(floats(smallest.value())[3] == -INFINITY);
      const Gradients gradients = tape.backward(largest + smallest, dy);
      REQUIRE(floats(gradients[x]) == std::vector<double>{12, 6, 6, 0, 2, 2, 2, 2, 8, 0, 8, 0, 1, 1, 1, 1, 3, 3, 3, 3});
    }
}

TEST_CASE("argmax, argmin: the first of ties, the first NaN") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.tensor(
      {4, 4}, {1, 3, 3, 1, 0, -0.0, 0, 0, 9, NAN, INFINITY, NAN, -INFINITY, -INFINITY, -INFINITY, -INFINITY}));
  REQUIRE(numbers(argmax(x, {.axes = 1})) == std::vector<std::int64_t>{1, 0, 1, 0});
  REQUIRE(numbers(argmin(x, {.axes = 1})) == std::vector<std::int64_t>{0, 0, 1, 0});
  REQUIRE(argmax(x).item() == 9);
  REQUIRE(numbers(argmin(x, {.axes = 0})) == std::vector<std::int64_t>{3, 2, 3, 2});
}

TEST_CASE("max, min, argmax, argmin: nothing gives nothing, but no extreme of nothing") {
  Context context{{.threads = 1}};
  for (const Shape& shape : {Shape{0, 3}, Shape{3, 0}}) {
    Tape tape{context};
    const int axis = shape[0] == 0 ? 1 : 0;  // the axis that has elements
    const Var x = tape.variable(context.zeros(shape));
    REQUIRE(max(x, {.axes = axis}).shape() == Shape{0});
    REQUIRE(argmin(x, {.axes = axis}).shape() == Shape{0});
    const Var y = min(x, {.axes = axis});
    const Gradients gradients = tape.backward(sum(y));
    REQUIRE(gradients[x].shape() == shape);
    REQUIRE_THROWS_WITH(max(context.input(context.zeros(shape)), {.axes = 1 - axis}),
                        contains("max: there is nothing to reduce in " + to_string(shape)));
  }
  const Var nothing = context.input(context.zeros({2, 0}));
  REQUIRE_THROWS_AS(max(nothing), ShapeError);
  REQUIRE_THROWS_WITH(min(nothing), contains("min: there is nothing to reduce in [2, 0]"));
  REQUIRE_THROWS_WITH(argmax(nothing), contains("argmax: there is nothing to reduce in [2, 0]"));
  REQUIRE_THROWS_WITH(argmin(nothing), contains("argmin: there is nothing to reduce in [2, 0]"));
}

TEST_CASE("max, min, argmax, argmin: errors name the op, the line, the axis and the shape") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.zeros({2, 3})), labels = context.input(context.zeros({2}, DType::int64));
  REQUIRE_THROWS_AS(max(x, {.axes = 2}), ShapeError);
  REQUIRE_THROWS_WITH(max(x, {.axes = 2}),
                      contains("extreme_test.cc") && contains("max: axis 2 does not exist in [2, 3]"));
  REQUIRE_THROWS_WITH(min(x, {.axes = -3}), contains("min: axis -3 does not exist in [2, 3]"));
  REQUIRE_THROWS_WITH(argmax(x, {.axes = 5}), contains("argmax: axis 5 does not exist in [2, 3]"));
  REQUIRE_THROWS_WITH(max(x, {.axes = {1, -1}}), contains("max: axis -1 is named twice; x is [2, 3]"));
  REQUIRE_THROWS_WITH(argmin(x, {.axes = {0, 0}}), contains("argmin: axis 0 is named twice; x is [2, 3]"));
  REQUIRE_THROWS_WITH(min(labels), contains("min: needs float32 or float64, got int64"));
  REQUIRE_THROWS_WITH(argmax(labels), contains("argmax: needs float32 or float64, got int64"));
  REQUIRE_THROWS_WITH(max(Var()), contains("max: the input holds nothing"));
}
