// What flax, from which brainstate's norm layers come, tests beyond them.
#include <algorithm>
#include <cmath>

#include "autodiff/tape.h"
#include "layers/norm.h"
#include "layers/norm_batch.h"
#include "layers/norm_group.h"
#include "layers/norm_instance.h"
#include "tests/layers/norm_layers.h"
#include "train/replicas.h"

using namespace tapestry;
using test::built;
using test::refusal;

TEST_CASE(
    "flax: LayerNorm over (1, 2, 3) is GroupNorm(1), InstanceNorm is group size 1, LayerNorm (1, 2) is InstanceNorm") {
  Context context;
  const Tensor x = context.normal({2, 3, 4, 5}, 0, 1, 1, DType::float64);
  const Initializer scale = context.normal({5}, 0, 1, 2), bias = context.normal({5}, 0, 1, 3);
  const auto rows = [&](const Axes& reduced) {
    return built(context,
                 LayerNorm::brainstate(
                     {.in_size = {5}, .reduction_axes = reduced, .bias_init = bias, .scale_init = scale}),
                 {}, DType::float64)(context.input(x))
        .value();
  };
  const auto groups = [&](std::optional<std::int64_t> number, std::optional<std::int64_t> size) {
    return built(
               context,
               GroupNorm::brainstate(
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

TEST_CASE("flax: GroupNorm over all axes but a stack's first, and groups that do not divide") {
  Context context;
  const Tensor x = context.normal({2, 5, 4, 4, 32}, 1, 2, 1);
  const GroupNorm layer = built(context, GroupNorm::brainstate({.in_size = {32}, .num_groups = 2}));
  test::NormProblem p = test::problem(layer, x, 0, 4);
  p.set = test::groups_of(x.shape(), 2);
  test::require_normalized(p, x, layer(context.input(x)).value());
  const GroupNorm batch =
      built(context, GroupNorm::brainstate({.in_size = {32}, .num_groups = 2, .reduction_axes = {0, 1, 3, 4}}));
  p.set = test::index_over(x.shape(), {2, 4});
  for (std::size_t& set : p.set) set /= 16;
  test::require_normalized(p, x, batch(context.input(x)).value());
  CHECK_THAT(refusal(context, GroupNorm::brainstate({.in_size = {32}, .num_groups = 3})), contains("32 channels"));
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
  const BatchNorm1d layer = built(context, BatchNorm1d::brainstate({.in_size = {3, 2}, .momentum = 0.9}));
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
  check(built(context, LayerNorm::brainstate({.in_size = {5}}))(context.input(x), mask).value(), true);
  check(built(context, RMSNorm::brainstate({.in_size = {5}}))(context.input(x), mask).value(), false);
}

TEST_CASE("flax: replicas of a named axis normalize by the statistics of all, or of their group") {
  Context context{{.threads = 1}};
  const Tensor x = context.normal({8, 3}, 1, 2, 1);
  const auto alone = [&](const Tensor& batch) {
    const BatchNorm0d layer = built(context, BatchNorm0d::brainstate({.in_size = {3}}));
    return test::numbers(layer(context.input(batch), Mode::train).value());
  };
  const auto shared = [&](BatchNorm0d layer) {
    build(context, layer, Shape{3});
    std::vector<double> y(24);
    train::Replicas replicas{context, {.count = 4}};
    replicas.run([&](const train::Replica& replica) {
      const Var part = layer(replica.context().input(replica.shard(x)), Mode::train);
      std::ranges::copy(test::numbers(part.value()), y.begin() + 6 * replica.index());
    });
    return y;
  };
  const auto require_near = [](const std::vector<double>& found, const std::vector<double>& expected) {
    for (std::size_t i = 0; i < expected.size(); ++i) REQUIRE(found[i] == Approx(expected[i]).margin(1e-5));
  };
  require_near(shared(BatchNorm0d::brainstate({.in_size = {3}, .axis_name = {"batch"}})), alone(x));
  const std::vector<double> halves =
      shared(BatchNorm0d::brainstate({.in_size = {3}, .axis_name = {"batch"}, .axis_index_groups = {{0, 1}, {2, 3}}}));
  require_near(halves, alone(x.view(0, {4, 3})));
  require_near({halves.begin() + 12, halves.end()}, alone(x.view(12, {4, 3})));

  const std::vector<std::string> names{"data", "model"};
  CHECK(GroupNorm::brainstate({.in_size = {32}, .axis_name = names}).options.replicas.names == names);
  CHECK(LayerNorm::brainstate({.in_size = {3}, .axis_name = names}).options.replicas.names == names);
  CHECK(RMSNorm::brainstate({.in_size = {3}, .axis_name = names}).options.replicas.names == names);
  CHECK(BatchNorm1d::brainpy({.axis_name = names}).options.replicas.names == names);
}
