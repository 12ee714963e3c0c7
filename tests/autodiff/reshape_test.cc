#include "autodiff/ops/reshape.h"

#include "autodiff/tape.h"
#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/ops.h"

using namespace tapestry;

TEST_CASE("reshape: gradients, with and without an open axis") {
  const auto to = [](Shape shape) { return [shape](std::span<const Var> x) { return reshape(x[0], shape); }; };
  const auto rows = [](std::span<const Var> x) { return reshape(x[0], {-1, 2}); };
  test::check_op(to({6}), {{2, 3}});
  test::check_op(to({3, 2}), {{2, 3}});
  test::check_op(to({1, 6, 1}), {{2, 3}});
  test::check_op(to({}), {{1}});
  test::check_op(to({1, 1}), {{}});
  test::check_op(to({0, 4}), {{0, 2}});
  test::check_op(rows, {{8}});
  test::check_op(rows, {{3, 4}});
  test::check_op(rows, {{2, 3, 2}});
}

TEST_CASE("flatten: gradients") {
  const auto f = [](std::span<const Var> x) { return flatten(x[0]); };
  for (const Shape& shape :
       {Shape{2, 3}, Shape{4}, Shape{2, 3, 4}, Shape{1, 2, 2, 3}, Shape{0, 3, 2}, Shape{3, 1, 1, 1}})
    test::check_op(f, {shape});
}

TEST_CASE("reshape: shapes that do not fit are refused with both named") {
  Context context;
  const Var x = context.input(context.zeros({2, 3}));
  REQUIRE_THROWS_WITH(reshape(x, Shape{4}),
                      contains("reshape_test.cc:") && contains("[2, 3] has 6 elements, [4] has 4"));
  REQUIRE_THROWS_AS(reshape(x, Shape{4}), ShapeError);
  REQUIRE_THROWS_WITH(reshape(x, {-1, 4}), contains("no size for axis 0 gives the 6 elements of [2, 3]"));
  REQUIRE_THROWS_AS(reshape(x, {-1, 0}), ShapeError);
  REQUIRE_THROWS_AS(reshape(x, {-1, -1}), ShapeError);
  REQUIRE_THROWS_AS(reshape(x, {1, 1, 1, 1, 1, 1, 6}), ShapeError);
  REQUIRE_THROWS_AS(flatten(context.input(context.zeros({}))), ShapeError);
  REQUIRE_THROWS_AS(reshape(Var{}, Shape{}), ArgumentError);
}
