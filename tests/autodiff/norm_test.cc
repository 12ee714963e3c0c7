#include "autodiff/ops/norm.h"

#include <cmath>

#include "autodiff/tape.h"
#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/ops.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

TEST_CASE("layer_norm: gradients with weight, bias, both and none, over one axis and more") {
  const Shape shapes[] = {{3},     {1, 4},  {5, 3}, {2, 9},    {4, 16},      {3, 17},
                          {70, 5}, {2, 33}, {0, 4}, {2, 3, 4}, {2, 2, 3, 5}, {1, 2, 1, 2, 2, 3}};
  for (const Shape& shape : shapes)
    for (int axes = 1; axes <= shape.rank(); ++axes)
      for (double epsilon : {1e-5, 0.1}) {
        const LayerNormOptions options{.axes = axes, .epsilon = epsilon};
        const Shape affine = shape.drop_front(shape.rank() - axes);
        // The gradient of a short row is a small difference of large numbers.
        const OpCheck check{.low = -2, .high = 2, .tolerance = affine.size() < 8 ? 2e-5 : 2e-6};
        check_op([&](std::span<const Var> v) { return layer_norm(v[0], v[1], v[2], options); }, {shape, affine, affine},
                 check);
        check_op([&](std::span<const Var> v) { return layer_norm(v[0], v[1], {}, options); }, {shape, affine}, check);
        check_op([&](std::span<const Var> v) { return layer_norm(v[0], {}, v[1], options); }, {shape, affine}, check);
        check_op([&](std::span<const Var> v) { return layer_norm(v[0], options); }, {shape}, check);
      }
}

TEST_CASE("layer_norm: a gradient is computed for each input alone") {
  Context context{{.threads = 1}};
  const Tensor x = context.normal({4, 6}, 0, 1, 1), weight = context.normal({6}, 1, 0.1, 2), bias = context.zeros({6});
  Tape all{context};
  const Var a = all.variable(x), b = all.variable(weight), c = all.variable(bias);
  const Gradients expected = all.backward(layer_norm(a, b, c), x);
  for (int only = 0; only < 3; ++only) {
    Tape tape{context};
    const Var v[] = {only == 0 ? tape.variable(x) : tape.input(x),
                     only == 1 ? tape.variable(weight) : tape.input(weight),
                     only == 2 ? tape.variable(bias) : tape.input(bias)};
    const Gradients found = tape.backward(layer_norm(v[0], v[1], v[2]), x);
    const Var leaves[] = {a, b, c};
    REQUIRE(std::ranges::equal(found[v[only]].span<float>(), expected[leaves[only]].span<float>()));
  }
}

TEST_CASE("layer_norm: numbers of a worked example") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.tensor({2, 2}, {1, 3, 5, 5}));
  const Tensor y = layer_norm(x, context.input(context.tensor({2}, {2, 10})),
                              context.input(context.tensor({2}, {0.5f, 7})), {.epsilon = 3})
                       .value();
  const auto values = y.span<float>();  // rstd = 1 / sqrt(1 + 3)
  REQUIRE(values[0] == -0.5f);
  REQUIRE(values[1] == 12);
  REQUIRE(values[2] == 0.5f);
  REQUIRE(values[3] == 7);
}

TEST_CASE("layer_norm: results are the same bits at any number of threads") {
  Context one{{.threads = 1}}, seven{{.threads = 7}};
  const Tensor x = one.normal({900, 200}, 0, 3, 1), weight = one.normal({200}, 1, 1, 2),
               bias = one.normal({200}, 0, 1, 3);
  const auto run = [&](Context& context) {
    Tape tape{context};
    const Var v[] = {tape.variable(x), tape.variable(weight), tape.variable(bias)};
    const Var y = layer_norm(v[0], v[1], v[2]);
    const Gradients gradients = tape.backward(y, x);
    return std::vector{y.value(), gradients[v[0]], gradients[v[1]], gradients[v[2]]};
  };
  const auto a = run(one), b = run(seven);
  for (std::size_t i = 0; i < a.size(); ++i) REQUIRE(std::ranges::equal(a[i].span<float>(), b[i].span<float>()));
}

TEST_CASE("layer_norm: bad options, shapes and types are refused by name") {
  Context context{{.threads = 1}};
  const auto in = [&](const Shape& shape, DType dtype = DType::float32) {
    return context.input(context.zeros(shape, dtype));
  };
  const Var x = in({2, 3, 4});
  for (double epsilon : {0.0, -1e-5, std::nan(""), double{INFINITY}}) {
    REQUIRE_THROWS_AS(layer_norm(x, {.epsilon = epsilon}), ArgumentError);
    REQUIRE_THROWS_WITH(layer_norm(x, {.epsilon = epsilon}),
                        contains("layer_norm: epsilon must be positive and finite"));
  }
  REQUIRE_THROWS_AS(layer_norm(x, {.axes = 0}), ShapeError);
  REQUIRE_THROWS_WITH(layer_norm(x, {.axes = 4}), contains("axes must be in [1, 3] for x [2, 3, 4]; it is 4"));
  REQUIRE_THROWS_WITH(layer_norm(in({})), contains("axes must be in [1, 0]"));
  REQUIRE_THROWS_AS(layer_norm(x, in({3}), in({4})), ShapeError);
  REQUIRE_THROWS_WITH(layer_norm(x, in({3}), in({4})), contains("weight must be [4] for x [2, 3, 4]; it is [3]"));
  REQUIRE_THROWS_WITH(layer_norm(x, in({3, 4}), in({4}), {.axes = 2}), contains("bias must be [3, 4]"));
  REQUIRE_THROWS_AS(layer_norm(Var{}), ArgumentError);
}
