// What the tests and the documentation of BrainPy do with its norm layers: brainpy.nn of 2.1, brainpy.layers later.
#include "layers/dialects/brainpy.h"

#include <cmath>

#include "autodiff/ops/loss.h"
#include "autodiff/tape.h"
#include "kernels/error.h"
#include "layers/activation.h"
#include "layers/batch_norm.h"
#include "layers/group_norm.h"
#include "layers/instance_norm.h"
#include "layers/layer_norm.h"
#include "layers/linear.h"
#include "layers/reshape.h"
#include "layers/sequential.h"
#include "optim/adam.h"
#include "tests/layers/norm_layers.h"

using namespace tapestry;
using test::built;
using test::refusal;

namespace {

// The input of brainpy 2.1's tests: ones [2, 3, 4] but for two places.
Tensor mostly_ones(const Context& context) {
  Tensor x = context.full({2, 3, 4}, 1);
  for (std::size_t i = 0; i < 4; ++i) x.span<float>()[i] = 2;
  x.span<float>()[4] = 5;
  return x;
}

// By group norm with weight 1 and bias 0.
void require_groups(const Tensor& x, const Tensor& y, std::size_t groups) {
  test::NormProblem p{.set = test::groups_of(x.shape(), groups), .affine = test::index_over(x.shape(), x.rank() - 1)};
  p.weight.assign(static_cast<std::size_t>(x.shape()[-1]), 1);
  test::require_normalized(p, x, y);
}

// Checks that it runs, in both modes.
template <class L>
void require_shape(Context& context, L layer, const Tensor& x) {
  build(context, layer, x.shape().drop_front());
  for (const Mode mode : {Mode::train, Mode::eval}) {
    const Var y = apply(layer, context.input(x), mode);
    REQUIRE(y.shape() == x.shape());
    for (double value : test::numbers(y.value())) REQUIRE(std::isfinite(value));
  }
}

}  // namespace

TEST_CASE("brainpy.nn: GroupNorm has parameters for each position, shared by the groups") {
  Context context;
  const Tensor x = mostly_ones(context);
  const GroupNorm layer = built(
      context, brainpy::nn::group_norm({.num_groups = 2, .beta_init = Uniform{-1, 1}, .gamma_init = Uniform{1, 2}}),
      Shape{3, 4});
  REQUIRE(layer.weight.shape() == Shape{3, 2});
  REQUIRE(layer.bias.shape() == Shape{3, 2});
  test::NormProblem p{.set = test::groups_of(x.shape(), 2),
                      .weight = test::numbers(layer.weight.value()),
                      .bias = test::numbers(layer.bias.value())};
  for (std::size_t i = 0; i < 24; ++i) p.affine.push_back(i / 4 % 3 * 2 + i % 2);
  test::require_normalized(p, x, layer(context.input(x)).value());
}

TEST_CASE("brainpy.nn: InstanceNorm is GroupNorm with groups of one channel") {
  Context context;
  const Tensor x = mostly_ones(context);
  const GroupNorm layer = built(context, brainpy::nn::group_norm({.group_size = 1}), Shape{3, 4});
  REQUIRE(layer.weight.shape() == Shape{3, 1});
  require_groups(x, layer(context.input(x)).value(), 4);
}

TEST_CASE("brainpy.nn: GroupNorm normalizes the axes that are named, and the channels") {
  Context context;
  const Tensor x = mostly_ones(context);
  const auto y = [&](const Axes& axis) {
    return test::numbers(
        built(context, brainpy::nn::group_norm({.num_groups = 2, .axis = axis}), Shape{3, 4})(context.input(x))
            .value());
  };
  CHECK(y({1, 3}) == y({}));
  CHECK(y(1) == y({}));  // the documentation adds the channels
  CHECK(built(context, brainpy::nn::group_norm({.num_groups = 2, .axis = {1}}), Shape{3, 4}).weight.shape() ==
        Shape{3, 2});
  CHECK(built(context, brainpy::nn::group_norm({.num_groups = 2, .axis = -1}), Shape{3, 4}).weight.shape() == Shape{2});
  CHECK_THAT(refusal(context, brainpy::nn::group_norm({.num_groups = 2, .axis = 0}), Shape{3, 4}),
             contains("the batch"));
}

TEST_CASE("brainpy.nn: GroupNorm wants one of num_groups and group_size, and one that divides") {
  Context context;
  REQUIRE_THROWS_WITH(
      brainpy::nn::group_norm({}),
      contains("norm_brainpy_test.cc:") && contains("give either num_groups or group_size; both hold nothing"));
  REQUIRE_THROWS_WITH(brainpy::nn::group_norm({.num_groups = 2, .group_size = 3}), contains("they are 2 and 3"));
  REQUIRE_THROWS_WITH(brainpy::nn::group_norm({.num_groups = 0}), contains("num_groups must be positive; it is 0"));
  REQUIRE_THROWS_WITH(brainpy::nn::group_norm({.group_size = -1}), contains("group_size must be positive; it is -1"));
  CHECK_THAT(refusal(context, brainpy::nn::group_norm({.num_groups = 3}), Shape{3, 4}),
             contains("4 channels cannot form 3 equal groups"));
  const GroupNorm bare =
      built(context, brainpy::nn::group_norm({.num_groups = 2, .use_bias = false, .use_scale = false}), Shape{3, 4});
  CHECK(parameters(bare).empty());
  const GroupNorm frozen = built(context, brainpy::nn::group_norm({.num_groups = 2, .trainable = false}), Shape{3, 4});
  CHECK(!frozen.weight.trainable());
  CHECK(brainpy::nn::group_norm({.num_groups = 2}).options.epsilon == 1e-5);
}

TEST_CASE("brainpy.nn: LayerNorm over all but the batch, or one axis") {
  Context context;
  const Tensor x = mostly_ones(context);
  const LayerNorm all = built(context, LayerNorm{{.axes = 2}}, Shape{3, 4});
  CHECK(all.weight.shape() == Shape{3, 4});
  require_groups(x, all(context.input(x)).value(), 1);
  const LayerNorm last = built(context, LayerNorm{{.reduction_axes = 2}}, Shape{3, 4});
  CHECK(last.weight.shape() == Shape{4});
  test::NormProblem p{.set = test::index_over(x.shape(), {0, 1}), .affine = test::index_over(x.shape(), 2)};
  p.weight.assign(4, 1);
  test::require_normalized(p, x, last(context.input(x)).value());
}

TEST_CASE("brainpy.nn: BatchNorm normalizes by the batch, with parameters for the axes that are left") {
  Context context;
  const Tensor x = mostly_ones(context);
  const BatchNorm1d layer =
      built(context, BatchNorm1d{{.axis = {0, 2}, .track_running_stats = false, .bias = false}}, Shape{3, 4});
  CHECK(layer.weight.shape() == Shape{3});
  test::NormProblem p{.set = test::index_over(x.shape(), 1), .affine = test::index_over(x.shape(), 1)};
  p.weight.assign(3, 1);
  for (const Mode mode : {Mode::train, Mode::eval})
    test::require_normalized(p, x, layer(context.input(x), mode).value());
  require_shape(context, BatchNorm1d{{.track_running_stats = false}}, x);
  require_shape(context, BatchNorm1d{{.track_running_stats = false}} >> Linear{{.out = 4}},
                context.normal({2, 4}, 0, 1, 1));
  require_shape(context, BatchNorm2d{{.track_running_stats = false}}, context.normal({10, 32, 32, 3}, 0, 1, 1));
  require_shape(context, BatchNorm3d{{.track_running_stats = false}}, context.normal({10, 32, 32, 16, 3}, 0, 1, 1));
  CHECK_THAT(refusal(context, BatchNorm1d{}, Shape{2, 2, 4}), contains("expected 2D or 3D input (got 4D input)"));
}

TEST_CASE("brainpy.nn: a network with its GroupNorm learns with Adam and cross entropy") {
  Context context;
  Sequential model = Input{6, 4} >> brainpy::nn::group_norm({.num_groups = 2}) >> Flatten{} >> Linear{{.out = 3}};
  model.build(context);
  Adam optimizer{model.parameters(), {.lr = 1e-2}};
  const Tensor x = context.normal({12, 6, 4}, 0, 1, 1);
  const Tensor labels =
      context.tensor<std::int64_t>({12}, std::vector<std::int64_t>{0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2});
  double first = 0, last = 0;
  for (int step = 0; step < 40; ++step) {
    Tape tape{context};
    const Var loss = cross_entropy(model(tape.input(x), Mode::train), labels);
    optimizer.step(tape.backward(loss));
    (step == 0 ? first : last) = loss.item();
  }
  CHECK(last < 0.5 * first);
}

TEST_CASE("brainpy.layers: BatchNorm1d to 3d, in training and evaluation") {
  Context context;
  require_shape(context, brainpy::layers::batch_norm1d({.num_features = 10}), context.normal({1, 3, 10}, 0, 1, 1));
  require_shape(context, brainpy::layers::batch_norm2d({.num_features = 10}), context.normal({1, 3, 4, 10}, 0, 1, 1));
  require_shape(context, brainpy::layers::batch_norm3d({.num_features = 10}),
                context.normal({1, 3, 4, 5, 10}, 0, 1, 1));
  const BatchNorm3d::Options defaults = brainpy::layers::batch_norm3d().options;
  CHECK(defaults.momentum == 0.99);
  CHECK(defaults.epsilon == 1e-5);
  CHECK(defaults.running_variance == RunningVariance::biased);
}

TEST_CASE("brainpy.layers: BatchNorm refuses other ranks, features and axes") {
  Context context;
  CHECK_THAT(refusal(context, brainpy::layers::batch_norm3d(), Shape{4, 4, 3}),
             contains("expected 5D input (got 4D input)"));
  CHECK_THAT(refusal(context, brainpy::layers::batch_norm2d(), Shape{4, 4, 4, 3}),
             contains("expected 4D input (got 5D input)"));
  CHECK_THAT(refusal(context, brainpy::layers::batch_norm1d(), Shape{3}), contains("expected 3D input (got 2D input)"));
  CHECK_THAT(refusal(context, brainpy::layers::batch_norm3d({.num_features = 4}), Shape{2, 2, 2, 3}),
             contains("num_features is 4") && contains("is 3"));
  CHECK_THAT(refusal(context, brainpy::layers::batch_norm3d({.axis = {0, 1, 2}}), Shape{2, 2, 2, 3}),
             contains("axis must be all but the feature axes"));
  CHECK(refusal(context, brainpy::layers::batch_norm3d({.axis = {0, 1, 2, 3}}), Shape{2, 2, 2, 3}).empty());
  CHECK_THAT(
      refusal(context, brainpy::layers::batch_norm2d({.scale_initializer = context.zeros({1, 1, 3})}), Shape{2, 2, 3}),
      contains("the given tensor is [1, 1, 3], the parameter is [3]"));
  REQUIRE_THROWS_WITH(
      built(context, brainpy::layers::batch_norm1d(), Shape{2, 3})(context.input(context.zeros({2, 3})), Mode::eval),
      contains("expected 3D input (got 2D input)"));
}

TEST_CASE("brainpy.layers: one update of the running variance, biased as documented or unbiased as of 2.8") {
  Context context;
  Tensor x = context.normal({4, 5, 3}, 7, 3, 1);
  double mean = 0, var = 0;
  const std::vector<double> numbers = test::numbers(x);
  for (std::size_t i = 0; i < 60; i += 3) mean += numbers[i] / 20;
  for (std::size_t i = 0; i < 60; i += 3) var += (numbers[i] - mean) * (numbers[i] - mean) / 20;
  const auto running = [&](BatchNorm1d layer) {
    build(context, layer, Shape{5, 3});
    Tape tape{context};
    layer(tape.input(x), Mode::train);
    tape.commit();
    CHECK(layer.running_mean.value().span<float>()[0] == Approx(0.01 * mean));
    return layer.running_var.value().span<float>()[0];
  };
  BatchNorm1d later = brainpy::layers::batch_norm1d();
  CHECK(running(later) == Approx(0.99 + 0.01 * var).epsilon(1e-6));
  later.options.running_variance = RunningVariance::unbiased;
  CHECK(running(later) == Approx(0.99 + 0.01 * var * 20 / 19).epsilon(1e-6));
}

TEST_CASE("brainpy.layers: BatchNorm without affine gives mean 0 and variance 1") {
  Context context;
  const BatchNorm1d layer =
      built(context, brainpy::layers::batch_norm1d({.num_features = 3, .affine = false}), Shape{6, 3});
  const Var y = layer(context.input(context.normal({8, 6, 3}, -1, 2, 1)), Mode::train);
  const std::vector<double> found = test::numbers(y.value());
  for (std::size_t c = 0; c < 3; ++c) {
    double mean = 0, square = 0;
    for (std::size_t i = c; i < found.size(); i += 3) {
      mean += found[i] / 48;
      square += found[i] * found[i] / 48;
    }
    CHECK(std::abs(mean) <= 1e-5);
    CHECK(std::abs(square - mean * mean - 1) <= 1e-4);
  }
}

TEST_CASE("brainpy.layers: LayerNorm of 10 and of [5, 10] on [20, 5, 10], and its refusal of [2, 5, 8]") {
  Context context;
  const Tensor x = context.normal({20, 5, 10}, 0, 1, 1);
  require_shape(context, brainpy::layers::layer_norm({.normalized_shape = {10}}), x);
  require_shape(context, brainpy::layers::layer_norm({.normalized_shape = {5, 10}}), x);
  const LayerNorm layer = built(context, brainpy::layers::layer_norm({.normalized_shape = {10}}));
  REQUIRE_THROWS_WITH(layer(context.input(context.zeros({2, 5, 8}))), contains("LayerNorm: normalized_shape is [10]"));
  REQUIRE_THROWS_WITH(brainpy::layers::layer_norm({}), contains("normalized_shape must have at least one axis"));
  CHECK(parameters(built(context, brainpy::layers::layer_norm({.normalized_shape = {10}, .elementwise_affine = false})))
            .empty());
}

TEST_CASE("brainpy.layers: LayerNorm of [5, 10] follows its formula on [4, 3, 5, 10]") {
  Context context;
  const Tensor x = context.normal({4, 3, 5, 10}, 2, 3, 1);
  const LayerNorm layer = built(context, brainpy::layers::layer_norm({.normalized_shape = {5, 10},
                                                                      .bias_initializer = Uniform{-1, 1},
                                                                      .scale_initializer = Uniform{1, 2}}));
  test::require_normalized({.set = test::index_over(x.shape(), {0, 1}),
                            .affine = test::index_over(x.shape(), {2, 3}),
                            .weight = test::numbers(layer.weight.value()),
                            .bias = test::numbers(layer.bias.value())},
                           x, layer(context.input(x)).value());
}

TEST_CASE("brainpy.layers: the NLP example normalizes each word's embedding") {
  Context context;
  const std::int64_t batch = 20, sentence_length = 5, embedding_dim = 10;
  const Tensor embedding = context.normal({batch, sentence_length, embedding_dim}, 0, 1, 1);
  const LayerNorm layer_norm = built(context, brainpy::layers::layer_norm({.normalized_shape = {embedding_dim}}));
  test::NormProblem p{.set = test::index_over(embedding.shape(), {0, 1}),
                      .affine = test::index_over(embedding.shape(), 2)};
  p.weight.assign(10, 1);
  test::require_normalized(p, embedding, layer_norm(context.input(embedding)).value());
}

TEST_CASE("brainpy.layers: the image example normalizes positions and channels together") {
  Context context;
  const std::int64_t n = 20, c = 5, h = 10, w = 10;
  const Tensor images = context.normal({n, h, w, c}, 0, 1, 1);
  const LayerNorm layer_norm = built(context, brainpy::layers::layer_norm({.normalized_shape = {h, w, c}}));
  CHECK(layer_norm.weight.shape() == Shape{h, w, c});
  require_groups(images, layer_norm(context.input(images)).value(), 1);
}

TEST_CASE("brainpy.layers: the GroupNorm example: 3 groups, 6 as InstanceNorm, 1 as LayerNorm") {
  Context context;
  const Tensor x = context.normal({20, 10, 10, 6}, 0, 1, 1);
  const auto y = [&](auto layer) {
    build(context, layer, Shape{10, 10, 6});
    CHECK(parameter_count(layer) % 6 == 0);
    return layer(context.input(x)).value();
  };
  for (const std::int64_t groups : {1, 2, 3, 6})
    require_groups(x, y(brainpy::layers::group_norm({.num_groups = groups, .num_channels = 6})),
                   static_cast<std::size_t>(groups));
  CHECK(test::numbers(y(GroupNorm{{.num_groups = 6}})) ==
        test::numbers(y(brainpy::layers::instance_norm({.num_channels = 6}))));
  const std::vector<double> layer = test::numbers(y(LayerNorm{{.axes = 3}})), group = test::numbers(y(GroupNorm{1}));
  for (std::size_t i = 0; i < layer.size(); ++i) REQUIRE(group[i] == Approx(layer[i]).margin(1e-6));
}

TEST_CASE("brainpy.layers: GroupNorm has parameters for each channel, and its refusals") {
  Context context;
  const Tensor x = context.normal({4, 3, 5, 6}, 1, 2, 1);
  const auto of = [](brainpy::layers::GroupNormOptions options) {
    options.num_groups = 3;
    return brainpy::layers::group_norm(options);
  };
  const GroupNorm layer =
      built(context, of({.epsilon = 0.5, .bias_initializer = Uniform{-1, 1}, .scale_initializer = Uniform{1, 2}}),
            Shape{3, 5, 6});
  REQUIRE(layer.weight.shape() == Shape{6});
  test::NormProblem p = test::problem(layer, x, 0, 3);
  REQUIRE(p.epsilon == 0.5);
  p.set = test::groups_of(x.shape(), 3);
  test::require_normalized(p, x, layer(context.input(x)).value());
  CHECK(parameters(built(context, of({.num_channels = 6, .affine = false}))).empty());
  CHECK(of({}).options.epsilon == 1e-5);
  REQUIRE_THROWS_WITH(brainpy::layers::group_norm({}),
                      contains("norm_brainpy_test.cc:") && contains("GroupNorm: num_groups must be positive; it is 0"));
  CHECK_THAT(refusal(context, of({.num_channels = 7})), contains("7 channels cannot form 3 equal groups"));
  CHECK_THAT(refusal(context, of({.num_channels = 3}), Shape{3, 5, 6}), contains("num_channels is 3"));
}

TEST_CASE("brainpy.layers: the InstanceNorm example, with and without parameters") {
  Context context;
  const Tensor x = context.normal({20, 10, 10, 6}, 0, 1, 1);
  const InstanceNorm with = built(context, brainpy::layers::instance_norm({.num_channels = 6}), Shape{10, 10, 6}),
                     without = built(context, brainpy::layers::instance_norm({.num_channels = 6, .affine = false}),
                                     Shape{10, 10, 6});
  CHECK(parameter_count(with) == 12);
  CHECK(parameter_count(without) == 0);
  require_groups(x, with(context.input(x)).value(), 6);
  CHECK(test::numbers(with(context.input(x)).value()) == test::numbers(without(context.input(x)).value()));
  CHECK_THAT(refusal(context, brainpy::layers::instance_norm({.num_channels = 5}), Shape{10, 10, 6}),
             contains("num_features"));
}
