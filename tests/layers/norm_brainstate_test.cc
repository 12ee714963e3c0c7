// What the tests and the documentation of brainstate do with its norm layers.
#include "layers/dialects/brainstate.h"

#include <cmath>

#include "autodiff/tape.h"
#include "kernels/error.h"
#include "layers/batch_norm.h"
#include "layers/group_norm.h"
#include "layers/instance_norm.h"
#include "layers/layer_norm.h"
#include "layers/sequential.h"
#include "tests/layers/norm_layers.h"

using namespace tapestry;
using test::built;
using test::refusal;

namespace {

template <class L>
void update(Context& context, const L& layer, const Tensor& x) {
  Tape tape{context};
  layer(tape.input(x), Mode::train);
  tape.commit();
}

}  // namespace

TEST_CASE("brainstate: the documented GroupNorm example takes the whole rank-4 shape") {
  Context context;
  const Tensor x = context.normal({3, 4, 5, 6}, 0, 1, 1);
  const GroupNorm layer = built(context, brainstate::group_norm({.in_size = x.shape(), .num_groups = 3}));
  CHECK(layer.options.epsilon == 1e-6);
  CHECK(layer.weight.shape() == Shape{6});
  test::NormProblem p = test::problem(layer, x, 0, 3);
  p.set = test::groups_of(x.shape(), 3);
  test::require_normalized(p, x, layer(context.input(x)).value());
  const GroupNorm one = built(context, brainstate::group_norm({.in_size = x.shape(), .num_groups = 1}));
  const LayerNorm rows = built(context, brainstate::layer_norm({.in_size = x.shape(), .reduction_axes = {1, 2, 3}}));
  test::require_close(one(context.input(x)).value(), rows(context.input(x)).value(), 1e-6);
  const GroupNorm channels =
      built(context, brainstate::group_norm({.in_size = x.shape(), .num_groups = std::nullopt, .group_size = 1}));
  const InstanceNorm instance = built(context, InstanceNorm{{.num_features = 6, .epsilon = 1e-6}});
  test::require_close(channels(context.input(x)).value(), instance(context.input(x)).value(), 1e-6);
}

TEST_CASE("brainstate: GroupNorm of 16 channels in 1, 2, 4 and 8 groups, with and without parameters") {
  Context context;
  for (const Shape& shape : {Shape{4, 16}, Shape{4, 32, 32, 16}})
    for (const std::int64_t groups : {1, 2, 4, 8})
      for (const bool bias : {false, true})
        for (const bool scale : {false, true}) {
          const Tensor x = context.normal(shape, 1, 2, 1);
          const GroupNorm layer = built(
              context,
              brainstate::group_norm({.in_size = {16}, .num_groups = groups, .use_bias = bias, .use_scale = scale}));
          CHECK(parameters(layer).size() == (bias ? 1u : 0u) + (scale ? 1u : 0u));
          test::NormProblem p = test::problem(layer, x, 0, shape.rank() - 1);
          p.set = test::groups_of(shape, static_cast<std::size_t>(groups));
          test::require_normalized(p, x, layer(context.input(x)).value());
        }
  const auto by_size = brainstate::group_norm({.in_size = {16}, .num_groups = std::nullopt, .group_size = 4});
  const auto by_number = brainstate::group_norm({.in_size = {16}, .num_groups = 4});
  const Var x = context.input(context.normal({4, 16}, 0, 1, 1));
  test::require_close(built(context, by_size)(x).value(), built(context, by_number)(x).value(), 0);
}

TEST_CASE("brainstate: GroupNorm wants either number or size, channels that divide, and an axis that exists") {
  Context context;
  CHECK_THAT(refusal(context, brainstate::group_norm({.in_size = {15}, .num_groups = 4})),
             contains("15 channels cannot form 4 equal groups"));
  CHECK_THAT(refusal(context, brainstate::group_norm({.in_size = {15}, .num_groups = std::nullopt, .group_size = 4})),
             contains("15 channels cannot form groups of 4"));
  CHECK_THAT(refusal(context, brainstate::group_norm({.in_size = {8}})), contains("8 channels cannot form 32 equal"));
  REQUIRE_THROWS_WITH(brainstate::group_norm({.in_size = {16}, .group_size = 4}),
                      contains("and std::nullopt for the other; they are 32 and 4"));
  REQUIRE_THROWS_WITH(brainstate::group_norm({.in_size = {16}, .num_groups = std::nullopt}),
                      contains("both hold nothing"));
  REQUIRE_THROWS_WITH(brainstate::group_norm({.in_size = {16}, .num_groups = -1}), contains("it is -1"));
  REQUIRE_THROWS_WITH(brainstate::group_norm({.in_size = {4, 16}, .feature_axis = 2}),
                      contains("Invalid axis 2 for 2D input"));
  REQUIRE_THROWS_WITH(brainstate::group_norm({}), contains("Invalid axis -1 for 0D input"));
  CHECK_THAT(refusal(context, brainstate::group_norm({.in_size = {16}, .num_groups = 4, .dtype = DType::int64})),
             contains("dtype must be float32 or float64; it is int64"));
  CHECK_THAT(refusal(context, brainstate::group_norm({.in_size = {16}, .num_groups = 4}), Shape{3, 8}),
             contains("num_channels is 16"));
  const GroupNorm without = built(
      context, brainstate::group_norm({.in_size = {16}, .num_groups = 4, .reduction_axes = {1, 2}}), Shape{4, 4, 16});
  REQUIRE_THROWS_AS(without(context.input(context.zeros({2, 4, 4, 16}))), ShapeError);
}

TEST_CASE("brainstate: GroupNorm's reduction axes name axes of x, and its feature axis one of in_size") {
  Context context;
  const Tensor x = context.normal({2, 4, 4, 16}, 1, 2, 1);
  const GroupNorm layer =
      built(context, brainstate::group_norm({.in_size = {4, 4, 16}, .num_groups = 4, .reduction_axes = {1, 2, -1}}));
  test::NormProblem p = test::problem(layer, x, 0, 3);
  p.set = test::groups_of(x.shape(), 4);
  test::require_normalized(p, x, layer(context.input(x)).value());
  const GroupNorm last =
      built(context, brainstate::group_norm({.in_size = {16}, .num_groups = 4, .reduction_axes = -1}));
  p.set = test::index_over(x.shape(), {0, 1, 2, 3});
  for (std::size_t& set : p.set) set /= 4;
  test::require_normalized(p, x, last(context.input(x)).value());

  const Tensor first = context.normal({2, 6, 3, 5}, 1, 2, 1);
  const GroupNorm moved = built(
      context, brainstate::group_norm({.in_size = {6, 3, 5}, .feature_axis = 0, .num_groups = 3}), Shape{6, 3, 5});
  test::NormProblem q = test::problem(moved, first, {0, 1}, 1);
  for (std::size_t& set : q.set) set /= 2;
  test::require_normalized(q, first, moved(context.input(first)).value());
}

TEST_CASE("brainstate: GroupNorm's initializers may be numbers and arrays that broadcast, and may not be trained") {
  Context context;
  const GroupNorm layer = built(context, brainstate::group_norm({.in_size = {4},
                                                                 .num_groups = 2,
                                                                 .bias_init = context.tensor({1}, {3}),
                                                                 .scale_init = 2.0,
                                                                 .trainable = false}));
  CHECK(test::numbers(layer.bias.value()) == std::vector<double>(4, 3));
  CHECK(test::numbers(layer.weight.value()) == std::vector<double>(4, 2));
  CHECK(!layer.weight.trainable());
  CHECK(!layer.bias.trainable());
  CHECK_THAT(
      refusal(context, brainstate::group_norm({.in_size = {4}, .num_groups = 2, .bias_init = context.zeros({3})})),
      contains("the given tensor [3] does not broadcast to the parameter [4]"));
}

TEST_CASE("brainstate: a mask that selects all changes nothing") {
  Context context;
  const Var x = context.input(context.normal({4, 16}, 0, 1, 1));
  const GroupNorm layer = built(context, brainstate::group_norm({.in_size = {16}, .num_groups = 4}));
  test::require_close(layer(x, context.full({4, 16}, 1)).value(), layer(x).value(), 2e-6);
}

TEST_CASE("brainstate: BatchNorm0d to 3d keep shapes, with and without tracking, for any feature axis") {
  Context context;
  const auto check = [&](auto make, const Tensor& x) {
    const Shape sample = x.shape().drop_front();
    for (const Axes& axis : {Axes(-1), Axes(0)})
      for (const bool tracks : {true, false}) {
        auto layer =
            make(brainstate::BatchNormOptions{.in_size = sample, .feature_axis = axis, .track_running_stats = tracks});
        build(context, layer);
        CHECK(layer.weight.shape() == Shape{sample[axis[0]]});
        for (const Mode mode : {Mode::train, Mode::eval}) CHECK(layer(context.input(x), mode).shape() == x.shape());
      }
  };
  check([](const auto& o) { return brainstate::batch_norm0d(o); }, context.normal({8, 10}, 0, 1, 1));
  check([](const auto& o) { return brainstate::batch_norm1d(o); }, context.normal({8, 20, 10}, 0, 1, 1));
  check([](const auto& o) { return brainstate::batch_norm2d(o); }, context.normal({4, 28, 28, 3}, 0, 1, 1));
  check([](const auto& o) { return brainstate::batch_norm3d(o); }, context.normal({2, 8, 16, 16, 2}, 0, 1, 1));
}

TEST_CASE("brainstate: BatchNorm in training gives mean 0 and variance 1, along several axes too") {
  Context context;
  const auto check = [&](const auto& layer, const Tensor& x, const Axes& lie) {
    test::require_normalized(test::problem(layer, x, lie, lie), x, layer(context.input(x), Mode::train).value());
  };
  check(built(context, brainstate::batch_norm0d({.in_size = {10}})), context.normal({8, 10}, 2, 3, 1), 1);
  check(built(context, brainstate::batch_norm2d({.in_size = {28, 28, 3}})), context.normal({4, 28, 28, 3}, 2, 3, 1), 3);
  check(built(context, brainstate::batch_norm2d({.in_size = {6, 5, 3}, .feature_axis = {0, 2}})),
        context.normal({4, 6, 5, 3}, 2, 3, 1), {1, 3});
}

TEST_CASE("brainstate: BatchNorm without tracking normalizes by the batch, as documented") {
  Context context;
  const BatchNorm1d layer =
      built(context, brainstate::batch_norm1d({.in_size = {6, 3}, .track_running_stats = false, .affine = false}));
  const Tensor x = context.normal({4, 6, 3}, 2, 3, 1);
  test::require_normalized(test::problem(layer, x, 2, 2), x, layer(context.input(x), Mode::eval).value());
}

TEST_CASE("brainstate: BatchNorm takes one sample without a batch in evaluation") {
  Context context;
  const BatchNorm2d layer = built(context, brainstate::batch_norm2d({.in_size = {5, 4, 3}}));
  const Tensor x = context.normal({2, 5, 4, 3}, 2, 3, 1), sample = x.view(0, {5, 4, 3});
  update(context, layer, x);
  const Var one = layer(context.input(sample), Mode::eval), all = layer(context.input(x), Mode::eval);
  REQUIRE(one.shape() == Shape{5, 4, 3});
  test::require_close(one.value(), all.value().view(0, {5, 4, 3}), 0);
  const Var residual = context.input(context.normal({5, 4, 3}, 0, 1, 2));
  const Var fused = layer(context.input(sample), Mode::eval, {.activation = Activation::relu, .residual = residual});
  for (std::size_t i = 0; i < 60; ++i)
    REQUIRE(fused.value().span<float>()[i] ==
            Approx(std::max(0.0f, one.value().span<float>()[i] + residual.value().span<float>()[i])).margin(1e-6));
}

TEST_CASE("brainstate: BatchNorm0d refuses one sample without a batch in training, where it gives the bias") {
  Context context;
  const BatchNorm0d layer = built(context, brainstate::batch_norm0d({.in_size = {10}}));
  const Var x = context.input(context.normal({10}, 0, 1, 1));
  CHECK(layer(x, Mode::eval).shape() == Shape{10});
  REQUIRE_THROWS_WITH(layer(x, Mode::train), contains("norm_brainstate_test.cc:") &&
                                                 contains("training needs more than one value for each channel"));
}

TEST_CASE("brainstate: BatchNorm refuses other ranks and sizes") {
  Context context;
  const BatchNorm3d deep = built(context, brainstate::batch_norm3d({.in_size = {2, 3, 4, 5}}));
  const auto fails = [&](const Shape& shape, const char* reason) {
    REQUIRE_THROWS_WITH(deep(context.input(context.zeros(shape)), Mode::eval), contains(reason));
  };
  fails({2, 3, 4}, "BatchNorm3d: expected 5D or 4D (unbatched) input (got 3D input)");
  fails({1, 1, 2, 3, 4, 5}, "expected 5D or 4D (unbatched) input (got 6D input)");
  fails({7, 2, 3, 4, 6}, "in_size is [2, 3, 4, 5], a sample is [2, 3, 4, 6]");
  fails({2, 3, 4, 6}, "in_size is [2, 3, 4, 5], a sample is [2, 3, 4, 6]");
  CHECK_THAT(refusal(context, brainstate::batch_norm2d({.in_size = {4, 3}})),
             contains("expected 4D input (got 3D input)"));
  CHECK_THAT(refusal(context, brainstate::batch_norm2d({.in_size = {4, 4, 3}}), Shape{4, 5, 3}),
             contains("in_size is [4, 4, 3], a sample is [4, 5, 3]"));
  REQUIRE_THROWS_WITH(brainstate::batch_norm0d({.in_size = {4}, .feature_axis = 1}), contains("Invalid axis 1 for 1D"));
  REQUIRE_THROWS_WITH(brainstate::batch_norm0d({}), contains("Invalid axis -1 for 0D"));
}

TEST_CASE("brainstate: momentum 0.5 moves the running mean, and evaluation moves nothing") {
  Context context;
  const BatchNorm0d layer = built(context, brainstate::batch_norm0d({.in_size = {2}, .momentum = 0.5}));
  const Tensor x = context.tensor({2, 2}, {1, 2, 3, 6});
  update(context, layer, x);
  CHECK(test::numbers(layer.running_mean.value()) == std::vector<double>{1, 2});
  CHECK(test::numbers(layer.running_var.value()) == std::vector<double>{1, 2.5});  // biased
  Tape tape{context};
  layer(tape.input(x), Mode::eval);
  tape.commit();
  CHECK(test::numbers(layer.running_mean.value()) == std::vector<double>{1, 2});
}

TEST_CASE("brainstate: LayerNorm of [10, 20, 30] over one, two and three axes, with and without parameters") {
  Context context;
  const Tensor x = context.normal({10, 20, 30}, 1, 2, 1);
  const auto check = [&](const Axes& reduced, const Axes& kept) {
    for (const bool bias : {false, true})
      for (const bool scale : {false, true}) {
        const LayerNorm layer = built(context, brainstate::layer_norm({.in_size = {20, 30},
                                                                       .reduction_axes = reduced,
                                                                       .use_bias = bias,
                                                                       .use_scale = scale,
                                                                       .bias_init = Uniform{-1, 1},
                                                                       .scale_init = Uniform{1, 2}}));
        CHECK(layer.options.epsilon == 1e-6);
        test::require_normalized(test::problem(layer, x, kept, 2), x, layer(context.input(x)).value());
      }
  };
  check(-1, {0, 1});
  check({-2, -1}, 0);
  check({-3, -2, -1}, {});
}

TEST_CASE("brainstate: LayerNorm and RMSNorm have parameters along the feature axes of in_size") {
  Context context;
  const Tensor x = context.normal({2, 3, 4, 5}, 1, 2, 1);
  const LayerNorm layer = built(
      context, brainstate::layer_norm(
                   {.in_size = {3, 4, 5}, .reduction_axes = {2, 3}, .feature_axes = {0, -1}, .bias_init = Uniform{}}));
  CHECK(layer.weight.shape() == Shape{3, 5});
  test::require_normalized(test::problem(layer, x, {0, 1}, {1, 3}), x, layer(context.input(x)).value());
  const RMSNorm rms =
      built(context, brainstate::rms_norm({.in_size = {3, 4, 5}, .feature_axes = 1, .scale_init = Uniform{}}));
  CHECK(rms.weight.shape() == Shape{4});
  test::NormProblem p = test::problem(rms, x, {0, 1, 2}, 2);
  p.center = false;
  test::require_normalized(p, x, rms(context.input(x)).value());
  REQUIRE_THROWS_WITH(brainstate::layer_norm({.in_size = {5}, .feature_axes = {5}}), contains("Invalid axis 5 for 1D"));
  REQUIRE_THROWS_WITH(brainstate::rms_norm({}), contains("Invalid axis -1 for 0D input"));
  REQUIRE_THROWS_AS(layer(context.input(context.zeros({2, 3, 4, 6}))), ShapeError);
  CHECK_THAT(refusal(context, brainstate::rms_norm({.in_size = {5}, .dtype = DType::int64})),
             contains("dtype must be"));
  CHECK(!built(context, brainstate::rms_norm({.in_size = {5}, .trainable = false})).weight.trainable());
}
