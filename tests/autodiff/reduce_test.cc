#include "autodiff/ops/reduce.h"

#include <cmath>

#include "tests/catch.h"
#include "tests/support/ops.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

struct Case {
  Shape shape;
  Axes axes;
};

// All patterns of axes that stay and axes that go.
const std::vector<Case>& cases() {
  static const std::vector<Case> all = {{Shape{}, {}},
                                        {Shape{7}, {}},
                                        {Shape{7}, 0},
                                        {Shape{4, 5}, {}},
                                        {Shape{4, 5}, 0},
                                        {Shape{4, 5}, -1},
                                        {Shape{3, 4, 5}, 1},
                                        {Shape{3, 4, 5}, {0, 2}},
                                        {Shape{2, 3, 4, 5}, {0, 1, 2}},
                                        {Shape{2, 3, 2, 5}, {1, 3}},
                                        {Shape{2, 3, 2, 2, 3}, {1, 2, 4}},
                                        {Shape{2, 2, 3, 2, 2, 2}, {0, 2, 4}},
                                        {Shape{1, 6, 1}, {0, 2}},
                                        {Shape{3, 33}, 1},
                                        {Shape{33, 3}, 0}};
  return all;
}

void check_cases(const std::function<Var(const Var&, ReduceOptions)>& f, OpCheck check = {}) {
  for (const Case& entry : cases())
    for (bool keepdim : {false, true})
      check_op([&](std::span<const Var> in) { return f(in[0], {.axes = entry.axes, .keepdim = keepdim}); },
               {entry.shape}, check);
}

}  // namespace

TEST_CASE("sum, mean: gradients over all sets of axes") {
  check_cases([](const Var& x, ReduceOptions options) { return sum(x, options); });
  check_cases([](const Var& x, ReduceOptions options) { return mean(x, options); });
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
