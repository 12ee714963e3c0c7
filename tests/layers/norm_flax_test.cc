// What flax, from which brainstate's norm layers come, tests beyond them.
#include <algorithm>
#include <cmath>

#include "autodiff/tape.h"
#include "layers/batch_norm.h"
#include "layers/dialects/brainpy.h"
#include "layers/dialects/brainstate.h"
#include "layers/group_norm.h"
#include "layers/instance_norm.h"
#include "layers/layer_norm.h"
#include "tests/layers/norm_layers.h"
#include "train/replicas.h"

using namespace tapestry;
using test::built;
using test::refusal;

namespace {

// y of x [8, C], of which each of four replicas on the axis "batch" has two samples.
template <class L>
std::vector<double> by_replicas(Context& context, const L& layer, const Tensor& x) {
  std::vector<double> y(static_cast<std::size_t>(x.size()));
  train::Replicas replicas{context, {.count = 4}};
  replicas.run([&](const train::Replica& replica) {
    const Var part = apply(layer, replica.context().input(replica.shard(x)), Mode::train);
    const std::vector<double> numbers = test::numbers(part.value());
    std::ranges::copy(numbers, y.begin() + static_cast<std::ptrdiff_t>(numbers.size()) * replica.index());
  });
  return y;
}

}  // namespace

TEST_CASE(
    "flax: LayerNorm over (1, 2, 3) is GroupNorm(1), InstanceNorm is group size 1, LayerNorm (1, 2) is InstanceNorm") {
  Context context;
  const Tensor x = context.normal({2, 3, 4, 5}, 0, 1, 1, DType::float64);
  const Initializer scale = context.normal({5}, 0, 1, 2), bias = context.normal({5}, 0, 1, 3);
  const auto rows = [&](const Axes& reduced) {
    return built(context,
                 brainstate::layer_norm(
                     {.in_size = {5}, .reduction_axes = reduced, .bias_init = bias, .scale_init = scale}),
                 {}, DType::float64)(context.input(x))
        .value();
  };
  const auto groups = [&](std::optional<std::int64_t> number, std::optional<std::int64_t> size) {
    return built(
               context,
               brainstate::group_norm(
                   {.in_size = {5}, .num_groups = number, .group_size = size, .bias_init = bias, .scale_init = scale}),
               {}, DType::float64)(context.input(x))
        .value();
  };
  const Tensor instance = built(context,
                                InstanceNorm{{.num_features = 5,
                                              .epsilon = 1e-6,
                                              .weight = true,
                                              .bias = true,
                                              .weight_init = scale,
                                              .bias_init = bias}},
                                {}, DType::float64)(context.input(x))
                              .value();
  test::require_close(rows({1, 2, 3}), groups(1, std::nullopt), 1e-12);
  test::require_close(instance, groups(std::nullopt, 1), 1e-12);
  test::require_close(rows({1, 2}), instance, 1e-12);
}

TEST_CASE("flax: GroupNorm over the batch and some positions, and groups that do not divide") {
  Context context;
  const Tensor x = context.normal({2, 5, 4, 4, 32}, 1, 2, 1);
  const GroupNorm layer = built(context, brainstate::group_norm({.in_size = {32}, .num_groups = 2}));
  test::NormProblem p = test::problem(layer, x, 0, 4);
  p.set = test::groups_of(x.shape(), 2);
  test::require_normalized(p, x, layer(context.input(x)).value());
  const GroupNorm batch =
      built(context, brainstate::group_norm({.in_size = {32}, .num_groups = 2, .reduction_axes = {0, 1, 3, 4}}));
  p.set = test::index_over(x.shape(), {2, 4});
  for (std::size_t& set : p.set) set /= 16;
  test::require_normalized(p, x, batch(context.input(x)).value());
  CHECK_THAT(refusal(context, brainstate::group_norm({.in_size = {32}, .num_groups = 3})), contains("32 channels"));
}

TEST_CASE("flax: GroupNorm over all axes but a stack's first is that of each of the stack") {
  Context context;
  const Tensor stack = context.normal({5, 3, 4, 32}, 1, 2, 1);
  const GroupNorm layer = built(context, brainstate::group_norm({.in_size = {32},
                                                                 .num_groups = 8,
                                                                 .bias_init = Uniform{-1, 1},
                                                                 .scale_init = Uniform{1, 2},
                                                                 .reduction_axes = {-3, -2, -1}}));
  const Tensor y = layer(context.input(stack)).value();
  test::NormProblem p = test::problem(layer, stack, 0, 3);
  p.set = test::groups_of(stack.shape(), 8);
  test::require_normalized(p, stack, y);
  for (std::int64_t i = 0; i < 5; ++i) {
    const Tensor one = stack.view(i * 384, {3, 4, 32});  // its first axis is normalized, too
    test::require_close(layer(context.input(one)).value(), y.view(i * 384, {3, 4, 32}), 1e-6);
  }
}

TEST_CASE("flax: LayerNorm over any axes, and InstanceNorm over any positions, where the mean is far from 0") {
  Context context;
  const auto far = [&](const Shape& shape, float mean) {
    Tensor x = context.normal(shape, 0, 1, 1);
    for (float& value : x.span<float>()) value += mean;
    return x;
  };
  for (const bool fast : {false, true}) {
    const auto rows = [&](const Axes& reduced, const Axes& kept) {
      const Tensor x = far({2, 3, 4}, 1e6f);
      const LayerNorm layer =
          built(context, brainstate::layer_norm(
                             {.in_size = {4}, .reduction_axes = reduced, .epsilon = 1e-5, .use_fast_variance = fast}));
      test::require_normalized(test::problem(layer, x, kept, 2), x, layer(context.input(x)).value());
    };
    rows(-1, {0, 1});
    rows(1, {0, 2});
    rows({1, 2}, 0);
    rows({0, 1, 2}, {});
    const auto positions = [&](const Axes& features, const Axes& kept) {
      const Tensor x = far({2, 3, 4, 5}, 1e4f);
      const InstanceNorm layer = built(
          context,
          InstanceNorm{
              {.epsilon = 1e-6, .weight = true, .bias = true, .feature_axes = features, .use_fast_variance = fast}},
          Shape{3, 4, 5});
      test::require_normalized(test::problem(layer, x, kept, features), x, layer(context.input(x)).value());
    };
    positions(-1, {0, 3});
    positions({1, 2}, {0, 1, 2});
  }
}

TEST_CASE("flax: the fast variance is the slow one") {
  Context context;
  const Tensor x = context.normal({8, 4}, 1, 2, 1);
  const auto check = [&](auto layer) {
    build(context, layer, Shape{4});
    const Tensor fast = apply(layer, context.input(x), Mode::train).value();
    layer.options.use_fast_variance = false;
    test::require_close(apply(layer, context.input(x), Mode::train).value(), fast, 1e-6);
  };
  check(LayerNorm{});
  check(RMSNorm{});
  check(GroupNorm{2});
  check(BatchNorm0d{});
}

TEST_CASE("flax: BatchNorm's running statistics with a mask and NaN under it") {
  Context context;
  Tensor x = context.normal({4, 3, 2}, 1, 2, 1);
  const Tensor mask = context.tensor({4, 3, 1}, {1, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0});
  double mean = 0, square = 0;
  for (std::size_t i = 0; i < 12; ++i) {
    if (mask.span<float>()[i] == 0) {
      x.span<float>()[2 * i] = x.span<float>()[2 * i + 1] = NAN;
    } else {
      const double value = std::as_const(x).span<float>()[2 * i];
      mean += value / 8;
      square += value * value / 8;
    }
  }
  const BatchNorm1d layer = built(context, brainstate::batch_norm1d({.in_size = {3, 2}, .momentum = 0.9}));
  Tape tape{context};
  layer(tape.input(x), Mode::train, mask);
  tape.commit();
  CHECK(layer.running_mean.value().span<float>()[0] == Approx(0.1 * mean).epsilon(1e-5));
  CHECK(layer.running_var.value().span<float>()[0] == Approx(0.9 + 0.1 * (square - mean * mean)).epsilon(1e-5));
}

TEST_CASE("flax: masked rows with NaN under the mask have mean 0 and variance 1 where they count") {
  Context context;
  Tensor x = context.normal({3, 4, 5}, 1, 2, 1), mask = context.full({3, 4, 5}, 1);
  for (std::size_t i = 0; i < 60; i += 4) {
    mask.span<float>()[i] = 0;
    x.span<float>()[i] = NAN;
  }
  const auto check = [&](const Tensor& y, bool center) {
    for (std::size_t row = 0; row < 12; ++row) {
      double mean = 0, square = 0, count = 0;
      for (std::size_t i = 5 * row; i < 5 * row + 5; ++i) {
        if (i % 4 == 0) continue;
        count += 1;
        mean += y.span<float>()[i];
        square += static_cast<double>(y.span<float>()[i]) * y.span<float>()[i];
      }
      if (center) CHECK(std::abs(mean / count) <= 1e-4);
      CHECK(std::abs(square / count - 1) <= 1e-4);
    }
  };
  check(built(context, brainstate::layer_norm({.in_size = {5}}))(context.input(x), mask).value(), true);
  check(built(context, brainstate::rms_norm({.in_size = {5}}))(context.input(x), mask).value(), false);
}

TEST_CASE("flax: GroupNorm with NaN under the mask has mean 0 and variance 1 where it counts") {
  Context context;
  Tensor x = context.normal({13, 3, 5, 77}, 1, 2, 1), mask = context.full(x.shape(), 1);
  for (std::size_t i = 0; i < 13 * 3 * 5 * 77; i += 3) {
    mask.span<float>()[i] = 0;
    x.span<float>()[i] = NAN;
  }
  const GroupNorm layer = built(context, brainstate::group_norm({.in_size = {77}, .num_groups = 7}));
  const Tensor y = layer(context.input(x), mask).value();
  const std::vector<std::size_t> set = test::groups_of(x.shape(), 7);
  std::vector<double> count(13 * 7), mean(13 * 7), square(13 * 7);
  for (std::size_t i = 0; i < set.size(); ++i) {
    const double value = y.span<float>()[i];
    if (i % 3 == 0) continue;
    count[set[i]] += 1;
    mean[set[i]] += value;
    square[set[i]] += value * value;
  }
  for (std::size_t i = 0; i < count.size(); ++i) {
    REQUIRE(std::abs(mean[i] / count[i]) <= 1e-4);
    REQUIRE(std::abs(square[i] / count[i] - 1) <= 1e-4);
  }
}

TEST_CASE("flax: replicas of a named axis normalize by the statistics of all, or of their group") {
  Context context{{.threads = 1}};
  const Tensor x = context.normal({8, 3}, 1, 2, 1);
  const auto alone = [&](const Tensor& batch) {
    const BatchNorm0d layer = built(context, brainstate::batch_norm0d({.in_size = {3}}));
    return test::numbers(layer(context.input(batch), Mode::train).value());
  };
  const auto shared = [&](BatchNorm0d layer) {
    build(context, layer, Shape{3});
    return by_replicas(context, layer, x);
  };
  const auto require_near = [](const std::vector<double>& found, const std::vector<double>& expected) {
    for (std::size_t i = 0; i < expected.size(); ++i) REQUIRE(found[i] == Approx(expected[i]).margin(1e-5));
  };
  require_near(shared(brainstate::batch_norm0d({.in_size = {3}, .axis_name = {"batch"}})), alone(x));
  const std::vector<double> halves =
      shared(brainstate::batch_norm0d({.in_size = {3}, .axis_name = {"batch"}, .axis_index_groups = {{0, 1}, {2, 3}}}));
  require_near(halves, alone(x.view(0, {4, 3})));
  require_near({halves.begin() + 12, halves.end()}, alone(x.view(12, {4, 3})));
  require_near(shared(brainpy::layers::batch_norm0d({.axis_name = {"batch"}})), alone(x));
}

TEST_CASE("flax: norms of each sample average their statistics over the replicas of a named axis") {
  Context context{{.threads = 1}};
  const Tensor x = context.normal({8, 6}, 1, 2, 1);
  const auto check = [&](auto layer, std::size_t groups, bool center) {
    build(context, layer, Shape{6});
    test::NormProblem p = test::problem(layer, x, 0, 1);
    p.set = test::groups_of(x.shape(), groups);
    for (std::size_t& set : p.set) set %= 2 * groups;  // every replica has two samples
    for (std::size_t i = 0; i < 48; ++i) p.replica.push_back(i / 12);
    p.center = center;
    test::require_normalized(p, x, context.tensor<double>({8, 6}, by_replicas(context, layer, x)));
  };
  check(brainstate::group_norm({.in_size = {6}, .num_groups = 3, .axis_name = {"batch"}}), 3, true);
  check(brainstate::layer_norm({.in_size = {6}, .axis_name = {"batch"}}), 1, true);
  check(brainstate::rms_norm({.in_size = {6}, .axis_name = {"batch"}}), 1, false);
}
