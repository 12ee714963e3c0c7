#include "layers/instance_norm.h"

#include "kernels/error.h"
#include "layers/group_norm.h"
#include "layers/sequential.h"
#include "tests/layers/norm_layers.h"

using namespace tapestry;
using test::built;
using test::refusal;

TEST_CASE("InstanceNorm: parameters on request, and inputs of the right rank") {
  Context context;
  Sequential model = Input{4, 4, 3} >> InstanceNorm2d{} >> InstanceNorm2d{{.weight = true, .bias = true}};
  model.build(context);
  CHECK(model.parameters().size() == 2);
  const Var x = context.input(context.normal({2, 4, 4, 3}, 5, 3, 1));
  double sum = 0;
  const Var y = model(x, Mode::eval);
  for (float value : y.value().span<float>()) sum += value;
  CHECK(sum == Approx(0).margin(1e-4));
  Sequential flat = Input{4, 3} >> InstanceNorm2d{};
  REQUIRE_THROWS_WITH(flat.build(context), contains("InstanceNorm2d: expected 4D input (got 3D input): the input must "
                                                    "be [N, H, W, C]; it is N samples of [4, 3]"));
  const InstanceNorm3d deep;
  REQUIRE_THROWS_WITH(deep(x), contains("InstanceNorm3d: expected 5D input (got 4D input): the input must be [N, D, H, "
                                        "W, C]; it is [2, 4, 4, 3]"));
  const InstanceNorm2d other{{.num_features = 32}};  // has no parameter whose size could tell
  REQUIRE_THROWS_WITH(other(x), contains("InstanceNorm2d: num_features is 32, but x [2, 4, 4, 3] has 3"));
  const GroupNorm groups{{.num_groups = 1, .num_channels = 32, .weight = false, .bias = false}};
  REQUIRE_THROWS_WITH(groups(x), contains("GroupNorm: num_channels is 32, but x [2, 4, 4, 3] has 3"));
  const InstanceNorm1d lines{{.activation = Activation::relu}};
  CHECK(lines(context.input(context.tensor({1, 2, 1}, {-1, 1}))).value().span<float>()[0] == 0);
}

TEST_CASE("InstanceNorm: feature axes anywhere, each with statistics of its own") {
  Context context;
  const Tensor x = context.normal({2, 3, 4, 5}, 1, 2, 1);
  const auto check = [&](const Axes& features, const Axes& kept, const Axes& lie, const Shape& shape) {
    const InstanceNorm layer = built(context,
                                     InstanceNorm{{.weight = true,
                                                   .bias = true,
                                                   .weight_init = Uniform{-2, 2},
                                                   .bias_init = Uniform{-2, 2},
                                                   .feature_axes = features,
                                                   .use_fast_variance = false}},
                                     Shape{3, 4, 5});
    REQUIRE(layer.weight.shape() == shape);
    test::require_normalized({.set = test::index_over(x.shape(), kept),
                              .affine = test::index_over(x.shape(), lie),
                              .weight = test::numbers(layer.weight.value()),
                              .bias = test::numbers(layer.bias.value())},
                             x, layer(context.input(x)).value());
  };
  check(-1, {0, 3}, 3, {5});
  check(1, {0, 1}, 1, {3});
  check({1, 2}, {0, 1, 2}, {1, 2}, {3, 4});
  check({3, 1}, {0, 1, 3}, {1, 3}, {3, 5});
  const auto fails = [&](const Axes& features, std::int64_t count = 0) {
    return refusal(context, InstanceNorm{{.num_features = count, .feature_axes = features}}, Shape{3, 4, 5});
  };
  CHECK_THAT(fails(0), contains("axis 0 is the batch"));
  CHECK_THAT(fails(-4), contains("the batch"));
  CHECK_THAT(fails({0, 3}), contains("the batch"));
  CHECK_THAT(fails({2, -4}), contains("the batch"));
  CHECK_THAT(fails(4), contains("Invalid axis 4 for 4D input"));
  CHECK_THAT(fails({1, 2}, 5), contains("num_features is 5, but the feature axes {1, 2} have 12"));
  CHECK_THAT(fails(-1, 6), contains("num_features is 6"));
  CHECK_THAT(refusal(context, InstanceNorm2d{{.epsilon = 0}}, Shape{3, 4, 5}), contains("epsilon"));
  CHECK_THAT(refusal(context, InstanceNorm2d{{.dtype = DType::int64}}, Shape{3, 4, 5}), contains("dtype must be"));
}

TEST_CASE("InstanceNorm: one position is refused, unless feature axes leave none, as in flax: y is the bias") {
  Context context;
  const InstanceNorm layer{};
  REQUIRE_THROWS_WITH(layer(context.input(context.zeros({2, 1, 5}))),
                      contains("norm_instance_test.cc:") && contains("a sample needs more than one position"));
  const InstanceNorm all =
      built(context, InstanceNorm{{.bias = true, .bias_init = Normal{}, .feature_axes = {1, 2, 3}}}, Shape{3, 4, 5});
  const Var y = all(context.input(context.normal({2, 3, 4, 5}, 1, 2, 1)));
  for (std::size_t i = 0; i < 120; ++i) CHECK(y.value().span<float>()[i] == all.bias.value().span<float>()[i % 60]);
}

TEST_CASE("InstanceNorm: a mask selects the positions that count") {
  Context context;
  const Tensor x = context.normal({2, 6, 3}, 1, 2, 1);
  const InstanceNorm1d layer = built(context, InstanceNorm1d{}, Shape{6, 3});
  test::NormProblem p{.set = test::index_over(x.shape(), {0, 2}), .affine = test::index_over(x.shape(), 2)};
  p.weight.assign(3, 1);
  for (std::size_t i = 0; i < 36; ++i) p.selected.push_back(i / 3 % 6 < 4);
  test::require_normalized(p, x, layer(context.input(x), context.tensor({6, 1}, {1, 1, 1, 1, 0, 0})).value());
}
