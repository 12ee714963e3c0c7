#include "autodiff/axes.h"

#include "kernels/error.h"
#include "tests/catch.h"

using namespace tapestry;
using namespace tapestry::detail;

TEST_CASE("axes: rising, others, the last, orders and sizes") {
  CHECK(rising({-1, 0, 2}, 4) == Axes{0, 2, 3});
  CHECK(rising({}, 4) == Axes{});
  CHECK(other_axes(4, {2, 0}) == Axes{1, 3});
  CHECK(last_axes(5, 2) == Axes{3, 4});
  CHECK(order_with_last(4, {2, 0}) == Axes{1, 3, 2, 0});
  CHECK(inverse_order({1, 3, 2, 0}) == Axes{3, 0, 2, 1});
  CHECK(sizes_of({2, 3, 5}, {2, 0}) == Shape{5, 2});
  CHECK(sizes_of({2, 3, 5}, {}) == Shape{});
  CHECK(with_ones({2, 3, 5}, {0, 2}) == Shape{1, 3, 1});
  CHECK(Axes{1, 2}.contains(2));
  CHECK(!Axes{1, 2}.contains(0));
  CHECK(Axes{0} != Axes{});
  CHECK(to_string(Axes{0, -1}) == "{0, -1}");
}

TEST_CASE("axes: those that do not exist or are named twice") {
  CHECK(!fault_of({0, -1}, 2));
  REQUIRE_THROWS_WITH((Axes{4, 5}[2]), contains("there is no axis 2 among {4, 5}"));
  REQUIRE_THROWS_AS((Axes{4, 5}[-1]), ShapeError);
  CHECK((fault_of({0, 2, 0}, 2)->axis == 2 && !fault_of({0, 2, 0}, 2)->twice));
  CHECK((fault_of({1, 0, -1}, 2)->axis == -1 && fault_of({1, 0, -1}, 2)->twice));
  const Location where;
  CHECK(checked_axis("op", {2, 3}, -1, where) == 1);
  CHECK(checked_axes("op", {2, 3, 5}, {-1, 0}, where) == Axes{2, 0});
  CHECK(checked_place("op", {2, 3}, -1, where) == 2);
  CHECK(checked_place("op", {2, 3}, 0, where) == 0);
  REQUIRE_THROWS_WITH(checked_axis("op", {2, 3}, 2, where),
                      contains("axes_test.cc:") && contains("op: axis 2 does not exist in [2, 3]"));
  REQUIRE_THROWS_WITH(checked_axes("op", {2, 3}, {1, -1}, where), contains("op: axis -1 is named twice; x is [2, 3]"));
  REQUIRE_THROWS_WITH(checked_place("op", {2, 3}, 3, where), contains("no axis can be put at 3 in [2, 3]"));
  REQUIRE_THROWS_AS(checked_place("op", {1, 1, 1, 1, 1, 1}, 0, where), ShapeError);
}

TEST_CASE("shapes: an axis more, in front, behind and between") {
  const Shape shape{2, 3};
  CHECK(shape.prepend(5) == Shape{5, 2, 3});
  CHECK(shape.append(5) == Shape{2, 3, 5});
  CHECK(shape.insert(1, 5) == Shape{2, 5, 3});
  CHECK(Shape{}.append(4) == Shape{4});
  REQUIRE_THROWS_AS((Shape{1, 1, 1, 1, 1, 1}.append(1)), ShapeError);
}
