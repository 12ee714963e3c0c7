#include "autodiff/ops/shape.h"

#include "autodiff/ops/reshape.h"
#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/ops.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = {Shape{},
                                         Shape{1},
                                         Shape{7},
                                         Shape{3, 5},
                                         Shape{1, 4},
                                         Shape{2, 3, 4},
                                         Shape{2, 1, 3},
                                         Shape{4, 1, 1, 2},
                                         Shape{0, 3},
                                         Shape{17, 2},
                                         Shape{2, 3, 2, 2},
                                         Shape{1, 2, 3, 1, 2},
                                         Shape{2, 1, 2, 3, 1, 2}};
  return all;
}

void check_shapes(const std::function<Var(const Var&)>& f) {
  for (const Shape& shape : shapes()) check_op([&](std::span<const Var> in) { return f(in[0]); }, {shape});
}

std::vector<float> values(const Var& x) {
  const auto span = x.value().span<float>();
  return {span.begin(), span.end()};
}

Var counted(const Context& context, const Shape& shape) {
  Tensor x = context.empty(shape);
  for (std::size_t i = 0; i < x.span<float>().size(); ++i) x.span<float>()[i] = static_cast<float>(i);
  return context.input(x);
}

using Row = std::vector<float>;

}  // namespace

TEST_CASE("flatten, squeeze, unsqueeze: gradients") {
  check_shapes([](const Var& x) { return x.shape().rank() == 0 ? reshape(x, {1}) : flatten(x, 0); });
  check_shapes([](const Var& x) { return x.shape().rank() < 2 ? reshape(x, {-1}) : flatten(x); });
  check_shapes([](const Var& x) { return squeeze(x); });
  check_shapes([](const Var& x) { return x.shape().rank() == 6 ? squeeze(x, 1) : unsqueeze(x, 0); });
  check_shapes([](const Var& x) { return x.shape().rank() == 6 ? squeeze(x, {1, -2}) : unsqueeze(x, -1); });
}

TEST_CASE("permute, transpose: gradients") {
  check_shapes([](const Var& x) {
    Axes reversed;
    for (int axis = x.shape().rank(); axis-- > 0;) reversed.add(axis);
    return permute(x, reversed);
  });
  check_shapes([](const Var& x) {
    Axes rotated;
    for (int axis = 0; axis < x.shape().rank(); ++axis) rotated.add((axis + 1) % x.shape().rank());
    return permute(x, rotated);
  });
  check_shapes([](const Var& x) { return x.shape().rank() < 2 ? squeeze(x) : transpose(x); });
  check_shapes([](const Var& x) { return x.shape().rank() < 3 ? squeeze(x) : transpose(x, 0, 2); });
}

TEST_CASE("broadcast_to: gradients") {
  check_shapes([](const Var& x) { return broadcast_to(x, x.shape().rank() == 6 ? x.shape() : x.shape().prepend(3)); });
  for (const Shape& shape : {Shape{1}, Shape{4, 1}, Shape{1, 5}, Shape{3, 1, 1}, Shape{1, 1, 5}, Shape{}, Shape{5}})
    check_op(
        [](std::span<const Var> in) {
          return broadcast_to(in[0], {2, 3, 4, 5});
        },
        {shape == Shape{4, 1} || shape.size() != 4 ? shape : Shape{1}});
}

TEST_CASE("slice: gradients with every option") {
  check_shapes([](const Var& x) { return x.shape().rank() == 0 ? squeeze(x) : slice(x); });
  for (const Shape& shape : {Shape{7}, Shape{5, 3}, Shape{4, 2, 3}, Shape{9, 1, 2, 2}})
    for (int axis : {0, -1})
      for (const auto& [begin, end, step] : {std::array<std::int64_t, 3>{1, 2, 1},
                                             {0, -1, 1},
                                             {-2, 1000000, 1},
                                             {0, 1000000, 2},
                                             {1, 1000000, 3},
                                             {1, 1, 1}}) {
        const std::int64_t size = shape[axis];
        if (size < 3) continue;
        const SliceOptions options{.axis = axis, .begin = begin, .end = end == 1000000 ? size : end, .step = step};
        check_op([&](std::span<const Var> in) { return slice(in[0], options); }, {shape});
      }
  // Two slices of one value: their gradients add up.
  check_op(
      [](std::span<const Var> in) {
        return concat({slice(in[0], {.end = 2}), slice(in[0], {.begin = 1}), in[0]});
      },
      {{3, 4}});
}

TEST_CASE("pad: gradients with frames on all sides") {
  check_shapes([](const Var& x) { return pad(x, {}); });
  for (const Shape& shape : {Shape{1}, Shape{5}, Shape{0}})
    check_op([](std::span<const Var> in) { return pad(in[0], {.before = {2}, .value = 7}); }, {shape});
  for (const Shape& shape : {Shape{2, 3}, Shape{1, 1}, Shape{0, 2}, Shape{17, 2}})
    check_op([](std::span<const Var> in) { return pad(in[0], {.before = {1, 0}, .after = {0, 2}}); }, {shape});
  for (const Shape& shape : {Shape{2, 3, 2}, Shape{1, 1, 4}, Shape{3, 2, 1}, Shape{1, 1, 1}, Shape{2, 2, 2}})
    check_op(
        [](std::span<const Var> in) {
          return pad(in[0], {.before = {0, 1, 3}, .after = {1, 0, 2}, .value = -1});
        },
        {shape});
}

TEST_CASE("concat, stack: gradients along every axis, of two inputs and of many") {
  for (const Shape& shape : shapes()) {
    for (int axis = -shape.rank(); axis < shape.rank(); ++axis)
      check_op(
          [&](std::span<const Var> in) {
            return concat({in[0], in[1]}, {.axis = axis});
          },
          {shape, shape.with(axis, shape[axis] + 2)});
    if (shape.rank() == Shape::kMaxRank) continue;
    for (int axis = -shape.rank() - 1; axis <= shape.rank(); ++axis)
      check_op([&](std::span<const Var> in) { return stack(in, {.axis = axis}); }, {shape, shape, shape});
  }
  check_op([](std::span<const Var> in) { return concat(in, {.axis = 1}); }, {{2, 3}, {2, 0}, {2, 1}, {2, 4}});
  check_op([](std::span<const Var> in) { return concat({in[0], in[1], in[0]}); }, {{2, 3}, {1, 3}});
  check_op([](std::span<const Var> in) { return stack({in[0], in[0]}, {.axis = 1}); }, {{2, 3}});
}

TEST_CASE("shape ops: values") {
  Context context{{.threads = 1}};
  const Var x = counted(context, {2, 3});
  REQUIRE(values(transpose(x)) == Row{0, 3, 1, 4, 2, 5});
  REQUIRE(values(slice(x, {.axis = 1, .begin = -2})) == Row{1, 2, 4, 5});
  REQUIRE(values(slice(x, {.axis = 1, .step = 2})) == Row{0, 2, 3, 5});
  REQUIRE(values(pad(x, {.before = {0, 1}, .value = 9})) == Row{9, 0, 1, 2, 9, 3, 4, 5});
  REQUIRE(values(concat({x, x}, {.axis = 1})) == Row{0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5});
  REQUIRE(values(stack({x, x}, {.axis = 2})) == Row{0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5});
  REQUIRE(values(broadcast_to(slice(x, {.axis = 1, .end = 1}), {2, 2})) == Row{0, 0, 3, 3});
  REQUIRE(values(permute(counted(context, {2, 1, 2}), {2, 1, 0})) == Row{0, 2, 1, 3});
  REQUIRE(flatten(counted(context, {2, 3, 4})).shape() == Shape{2, 12});
  REQUIRE(unsqueeze(x, 1).shape() == Shape{2, 1, 3});
  REQUIRE(squeeze(counted(context, {1, 2, 1})).shape() == Shape{2});
}

TEST_CASE("shape ops: errors name the op, the line, the rule and the shapes") {
  Context context{{.threads = 1}};
  const Var x = counted(context, {2, 3}), y = counted(context, {2, 4});
  REQUIRE_THROWS_AS(squeeze(x, 0), ShapeError);
  REQUIRE_THROWS_WITH(squeeze(x, 0), contains("shape_test.cc"));
  REQUIRE_THROWS_WITH(squeeze(x, 0), contains("squeeze: axis 0 has 2 elements, not 1; x is [2, 3]"));
  REQUIRE_THROWS_WITH(unsqueeze(x, 3), contains("unsqueeze: no axis can be put at 3 in [2, 3]"));
  REQUIRE_THROWS_WITH(unsqueeze(counted(context, {1, 1, 1, 1, 1, 1}), 0), contains("unsqueeze: no axis"));
  REQUIRE_THROWS_WITH(permute(x, {0}), contains("permute: 1 axes are named, x is [2, 3]"));
  REQUIRE_THROWS_WITH(permute(x, {1, 1}), contains("permute: axis 1 is named twice; x is [2, 3]"));
  REQUIRE_THROWS_WITH(transpose(x, 0, 5), contains("transpose: axis 5 does not exist in [2, 3]"));
  REQUIRE_THROWS_WITH(broadcast_to(x, {3}), contains("broadcast_to: [2, 3] does not stretch to [3]"));
  REQUIRE_THROWS_WITH(slice(x, {.axis = 1, .begin = 2, .end = 5}),
                      contains("slice: [2, 5) does not lie within axis 1 of [2, 3]"));
  REQUIRE_THROWS_WITH(slice(x, {.begin = -3}), contains("slice: [-1, 2) does not lie within axis 0"));
  REQUIRE_THROWS_WITH(slice(x, {.step = 0}), contains("slice: step must be 1 or more, got 0"));
  REQUIRE_THROWS_WITH(pad(x, {.before = {1}}), contains("pad: needs a width for each axis of [2, 3], got 1"));
  REQUIRE_THROWS_WITH(pad(x, {.after = {0, -1}}), contains("pad: width -1 of axis 1 is out of range"));
  REQUIRE_THROWS_WITH(concat({x, y}),
                      contains("concat: the inputs may differ in axis 0 only; input 0 is [2, 3], input 1 is [2, 4]"));
  REQUIRE_THROWS_WITH(concat({x, y}, {.axis = 2}), contains("concat: axis 2 does not exist in [2, 3]"));
  REQUIRE_THROWS_WITH(concat({}), contains("concat: needs at least one input"));
  REQUIRE_THROWS_WITH(concat({x, Var()}), contains("concat: input 1 holds nothing"));
  REQUIRE_THROWS_WITH(stack({x, y}),
                      contains("stack: the inputs need one shape; input 0 is [2, 3], input 1 is [2, 4]"));
  REQUIRE_THROWS_WITH(stack(std::span<const Var>()), contains("stack: needs at least one input"));
  REQUIRE_THROWS_WITH(transpose(context.input(context.zeros({2, 2}, DType::int64))),
                      contains("needs float32 or float64, got int64"));
}
