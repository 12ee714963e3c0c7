#include "layers/batch_norm.h"

#include <cmath>

#include "autodiff/tape.h"
#include "kernels/error.h"
#include "layers/activation.h"
#include "layers/dialects/pytorch.h"
#include "layers/linear.h"
#include "layers/sequential.h"
#include "optim/sgd.h"
#include "tests/layers/norm_layers.h"

using namespace tapestry;
using test::built;
using test::refusal;

namespace {

std::vector<float> numbers(const StateRef& state) {
  const auto values = state.value().span<float>();
  return {values.begin(), values.end()};
}

// One training step's batch, committed.
template <class L>
void train_once(Context& context, const L& layer, const Tensor& x, const Tensor& mask = {}) {
  Tape tape{context};
  layer(tape.input(x), Mode::train, mask);
  tape.commit();
}

std::vector<std::string> names(const std::vector<StateEntry>& state) {
  std::vector<std::string> found;
  for (const auto& entry : state) found.push_back(entry.name);
  return found;
}

}  // namespace

TEST_CASE("BatchNorm: state, in PyTorch's names and order") {
  Context context;
  Sequential model = Input{4, 4, 3} >> BatchNorm2d{} >> BatchNorm2d{{.track_running_stats = false, .bias = false}} >>
                     BatchNorm2d{{.running_variance = RunningVariance::inverse_std, .affine = false}};
  model.build(context);
  CHECK(names(model.state()) == std::vector<std::string>{"0.weight", "0.bias", "0.running_mean", "0.running_var",
                                                         "0.num_batches_tracked", "1.weight", "2.running_mean",
                                                         "2.running_inv_std", "2.num_batches_tracked"});
  const BatchNorm2d& layer = model.get<BatchNorm2d>(0);
  CHECK(numbers(layer.running_mean) == std::vector<float>{0, 0, 0});
  CHECK(numbers(layer.running_var) == std::vector<float>{1, 1, 1});
  CHECK(layer.num_batches_tracked.value().item() == 0);
}

TEST_CASE("BatchNorm: running statistics change with the step and not before") {
  Context context;
  Sequential model = Input{2} >> BatchNorm1d{{.momentum = 0.9}};
  model.build(context);
  const BatchNorm1d& layer = model.get<BatchNorm1d>(0);
  const Tensor x = context.tensor({2, 2}, {1, 10, 3, 40});  // means 2 and 25, variances 1 and 225
  {
    Tape tape{context};
    const Var y = model(tape.input(x), Mode::train);
    CHECK(y.value().span<float>()[0] == Approx(-1).epsilon(1e-4));
    CHECK(numbers(layer.running_mean) == std::vector<float>{0, 0});
  }
  CHECK(layer.num_batches_tracked.value().item() == 0);
  train_once(context, layer, x);
  CHECK(numbers(layer.running_mean) == std::vector<float>{0.2f, 2.5f});
  CHECK(numbers(layer.running_var) == std::vector<float>{1, 23.4f});
  CHECK(layer.num_batches_tracked.value().item() == 1);

  model(context.input(x), Mode::train);
  const Var y = model(context.input(x), Mode::eval);
  CHECK(y.value().span<float>()[0] == Approx((1 - 0.2) / std::sqrt(1 + 1e-5)));
  CHECK(layer.num_batches_tracked.value().item() == 1);
}

TEST_CASE("BatchNorm: momentum weighs the old value, 0.99 by default, or all batches count alike") {
  Context context;
  const Tensor x = context.tensor({2, 1}, {1, 3}), z = context.tensor({2, 1}, {5, 9});  // means 2, 7; variances 1, 4
  const auto running = [&](const BatchNorm0d& layer) {
    train_once(context, layer, x);
    train_once(context, layer, z);
    return std::vector<double>{layer.running_mean.value().item(), layer.running_var.value().item()};
  };
  const auto require = [&](BatchNorm0d layer, double mean, double var) {
    const auto found = running(built(context, std::move(layer), Shape{1}));
    CHECK(found[0] == Approx(mean));
    CHECK(found[1] == Approx(var));
  };
  require(BatchNorm0d{}, 0.99 * 0.02 + 0.07, 0.99 + 0.04);
  require(BatchNorm0d{{.momentum = 0.25}}, 0.25 * 1.5 + 0.75 * 7, 0.25 + 0.75 * 4);
  require(BatchNorm0d{{.momentum = std::nullopt}}, 4.5, 2.5);
  require(BatchNorm0d{{.momentum = 0.25, .running_variance = RunningVariance::unbiased}}, 0.25 * 1.5 + 0.75 * 7,
          0.25 * (0.25 + 0.75 * 2) + 0.75 * 8);
  require(BatchNorm0d{{.epsilon = 1e-12, .momentum = 0.25, .running_variance = RunningVariance::inverse_std}},
          0.25 * 1.5 + 0.75 * 7, 0.25 + 0.75 * 0.5);
}

TEST_CASE("BatchNorm: pytorch::batch_norm1d() to 3d() have PyTorch's momentum, variance and words") {
  Context context;
  const BatchNorm1d layer = built(context, pytorch::batch_norm1d(), Shape{2});
  CHECK(layer.options.epsilon == 1e-5);
  train_once(context, layer, context.tensor({2, 2}, {1, 10, 3, 40}));  // unbiased variances 2 and 450
  CHECK(numbers(layer.running_mean) == std::vector<float>{0.2f, 2.5f});
  CHECK(numbers(layer.running_var) == std::vector<float>{1.1f, 45.9f});
  const BatchNorm1d other = pytorch::batch_norm1d(
      {.num_features = 3, .eps = 1e-3, .momentum = 0.3, .affine = false, .track_running_stats = false});
  CHECK(other.options.num_features == 3);
  CHECK(other.options.epsilon == 1e-3);
  CHECK(*other.options.momentum == 0.7);
  CHECK(!other.has_weight());
  CHECK(!other.has_bias());
  CHECK(!other.options.track_running_stats);
  CHECK(!pytorch::batch_norm2d({.momentum = std::nullopt}).options.momentum);
  REQUIRE_THROWS_WITH(pytorch::batch_norm3d({.momentum = 2}),
                      contains("norm_batch_test.cc:") && contains("momentum is 2, it must be in [0, 1]"));
  REQUIRE_THROWS_WITH(pytorch::batch_norm3d({.momentum = -0.5}), contains("momentum is -0.5, it must be in [0, 1]"));
  REQUIRE_THROWS_AS(pytorch::batch_norm3d({.momentum = NAN}), ArgumentError);
}

TEST_CASE("BatchNorm: rank narrows what the layer takes") {
  Context context;
  const BatchNorm1d layer = built(context, BatchNorm1d{{.num_features = 6, .rank = 3}});
  CHECK(layer(context.input(context.zeros({2, 5, 6})), Mode::eval).shape() == Shape{2, 5, 6});
  REQUIRE_THROWS_WITH(layer(context.input(context.zeros({2, 6})), Mode::eval),
                      contains("BatchNorm1d: expected 3D input (got 2D input)"));
  CHECK_THAT(refusal(context, BatchNorm1d{{.rank = 2}}, Shape{5, 6}), contains("expected 2D input (got 3D input)"));
  CHECK_THAT(refusal(context, BatchNorm2d{{.rank = 3}}, Shape{5, 6}),
             contains("rank is 3, it must be from 4 to 4, or 0"));
}

TEST_CASE("BatchNorm: inverse deviations are averaged, and used as they are") {
  Context context;
  const BatchNorm0d layer = built(context,
                                  BatchNorm0d{{.epsilon = 0.5,
                                               .running_variance = RunningVariance::inverse_std,
                                               .running_mean_init = 3.0,
                                               .running_var_init = context.tensor({2}, {2, 4})}},
                                  Shape{2});
  const Var y = layer(context.input(context.tensor({1, 2}, {5, 2})), Mode::eval);
  CHECK(test::numbers(y.value()) == std::vector<double>{4, -4});
}

TEST_CASE("BatchNorm: an optimizer's step commits the running statistics, and a step that fails does not") {
  Context context;
  Sequential model = Input{2} >> BatchNorm1d{{.momentum = 0}};
  model.build(context);
  const BatchNorm1d& layer = model.get<BatchNorm1d>(0);
  SGD optimizer{model.parameters(), {.lr = 0.1}};
  const auto step = [&](float first) {
    Tape tape{context};
    const Var y = model(tape.input(context.tensor({2, 2}, {first, 10, 3, 40})), Mode::train);
    optimizer.step(tape.backward(y, context.full({2, 2}, 1)));
  };
  step(1);
  CHECK(numbers(layer.running_mean) == std::vector<float>{2, 25});
  CHECK(numbers(layer.running_var) == std::vector<float>{1, 225});
  REQUIRE_THROWS_AS(step(NAN), NumericError);
  CHECK(numbers(layer.running_mean) == std::vector<float>{2, 25});
  CHECK(layer.num_batches_tracked.value().item() == 1);
}

TEST_CASE("BatchNorm: an empty batch and one that is not finite leave the statistics alone") {
  Context context;
  const BatchNorm2d layer = built(context, BatchNorm2d{{.momentum = 0.5}}, Shape{2, 2, 3});
  train_once(context, layer, context.normal({2, 2, 2, 3}, 1, 1, 1));
  const std::vector<float> mean = numbers(layer.running_mean), var = numbers(layer.running_var);
  CHECK(mean != std::vector<float>{0, 0, 0});
  train_once(context, layer, context.zeros({0, 2, 2, 3}));
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    Tensor x = context.normal({2, 2, 2, 3}, 1, 1, 2);
    x.span<float>()[4] = bad;
    train_once(context, layer, x);
  }
  CHECK(numbers(layer.running_mean) == mean);
  CHECK(numbers(layer.running_var) == var);
}

TEST_CASE("BatchNorm: without running statistics evaluation uses its own batch") {
  Context context;
  Sequential model = Input{2} >> BatchNorm1d{{.track_running_stats = false}};
  model.build(context);
  const Var x = context.input(context.tensor({2, 2}, {1, 10, 3, 40}));
  CHECK(test::numbers(model(x, Mode::eval).value()) == test::numbers(model(x, Mode::train).value()));
}

TEST_CASE("BatchNorm: feature axes anywhere, and what is reduced follows from them") {
  Context context;
  const Tensor x = context.normal({4, 3, 2, 5}, 1, 2, 1);
  const auto check = [&](const Axes& axis, const Axes& features, const Axes& lie, const Shape& shape) {
    const BatchNorm2d layer = built(context,
                                    BatchNorm2d{{.axis = axis,
                                                 .feature_axes = features,
                                                 .weight_init = Uniform{-2, 2},
                                                 .bias_init = Uniform{-2, 2},
                                                 .use_fast_variance = false}},
                                    Shape{3, 2, 5});
    REQUIRE(layer.weight.shape() == shape);
    REQUIRE(layer.running_var.shape() == shape);
    const std::vector<std::size_t> index = test::index_over(x.shape(), lie);
    test::NormProblem p{.set = index,
                        .affine = index,
                        .weight = test::numbers(layer.weight.value()),
                        .bias = test::numbers(layer.bias.value())};
    test::require_normalized(p, x, layer(context.input(x), Mode::train).value());
    p.frozen_mean.assign(p.weight.size(), 0);
    p.frozen_var.assign(p.weight.size(), 1);
    test::require_normalized(p, x, layer(context.input(x), Mode::eval).value());
  };
  check({}, {}, 3, {5});
  check({0, 1, 2}, {}, 3, {5});
  check({2, 0, 1}, -1, 3, {5});
  check({}, 1, 1, {3});
  check({0, 2, -1}, {}, 1, {3});
  check({0, 2}, {}, {1, 3}, {3, 5});
  check({}, {3, 1}, {1, 3}, {3, 5});
  check(0, {1, 2, 3}, {1, 2, 3}, {3, 2, 5});
  const auto fails = [&](BatchNorm2d::Options options, const char* reason) {
    CHECK_THAT(refusal(context, BatchNorm2d{options}, Shape{3, 2, 5}), contains(reason));
  };
  fails({.axis = {0, 1}, .feature_axes = -1}, "axis must be all but the feature axes; they are {0, 1} and {-1}");
  fails({.axis = {0, 1, 2}, .feature_axes = 1}, "axis must be all but the feature axes");
  fails({.axis = {0, 0, 1}}, "axis {0, 0, 1} of 4D input have to contain only unique values");
  fails({.axis = {0, 1, 4}}, "Invalid axis 4 for 4D input");
  fails({.axis = {0, 1, 2, 3}}, "which leaves no feature axis of 4D input");
  fails({.axis = {1, 2}}, "axis 0 is the batch");
  fails({.feature_axes = {0, 3}}, "axis 0 is the batch");
  fails({.num_features = 4}, "num_features is 4");
  fails({.num_features = 5, .feature_axes = {1, 3}}, "num_features is 5, but the feature axes {1, 3} have 15");
}

TEST_CASE("BatchNorm: a mask selects what counts, for the running statistics too") {
  Context context;
  Tensor x = context.normal({4, 3, 2}, 1, 2, 1);
  const Tensor mask = context.tensor({4, 3, 1}, {1, 1, 0, 1, 0, 0, 1, 1, 1, 0, 0, 1});
  const BatchNorm1d layer = built(context, BatchNorm1d{{.momentum = 0.9}}, Shape{3, 2});
  const std::vector<std::size_t> channel = test::index_over(x.shape(), 2);
  test::NormProblem p{.set = channel, .affine = channel, .weight = {1, 1}};
  for (std::size_t i = 0; i < 24; ++i) p.selected.push_back(mask.span<float>()[i / 2] != 0);
  test::require_normalized(p, x, layer(context.input(x), Mode::train, mask).value());
  double sum = 0;
  for (std::size_t i = 0; i < 24; i += 2) sum += p.selected[i] ? std::as_const(x).span<float>()[i] : 0;
  x.span<float>()[4] = NAN;  // under the mask
  train_once(context, layer, x, mask);
  CHECK(layer.running_mean.value().span<float>()[0] == Approx(0.1 * sum / 7));
}

TEST_CASE("BatchNorm: wrong ranks, sizes and options are refused by the layer's name and line") {
  Context context;
  const auto fails = [&](Sequential model, const char* reason) {
    REQUIRE_THROWS_WITH(model.build(context), contains("norm_batch_test.cc:") && contains(reason));
  };
  fails(Input{4, 3} >> BatchNorm2d{},
        "BatchNorm2d: expected 4D input (got 3D input): the input must be [N, H, W, C]; it is N samples of [4, 3]");
  fails(Input{4, 4, 3} >> BatchNorm1d{},
        "BatchNorm1d: expected 2D or 3D input (got 4D input): the input must be [N, C] "
        "or [N, L, C]; it is N samples of");
  fails(Input{4, 4, 3} >> BatchNorm3d{}, "BatchNorm3d: expected 5D input (got 4D input)");
  fails(Input{4, 3} >> BatchNorm0d{}, "BatchNorm0d: expected 2D input (got 3D input)");
  fails(Input{3} >> BatchNorm1d{{.num_features = 4}}, "num_features");
  fails(Input{3} >> BatchNorm1d{{.epsilon = -1}}, "epsilon must be positive and finite; it is -1");
  fails(Input{3} >> BatchNorm1d{{.momentum = 2}}, "BatchNorm1d: momentum is 2, it must be in [0, 1]");
  fails(Input{3} >> BatchNorm1d{{.dtype = DType::int64}}, "dtype must be float32 or float64; it is int64");

  Sequential unlike = Input{3} >> BatchNorm1d{{.running_var_init = context.zeros({4})}};
  REQUIRE_THROWS_WITH(unlike.build(context), contains("'0.running_var': initialize: the given tensor is [4]"));

  Sequential model = Input{4, 3} >> BatchNorm1d{};
  model.build(context);
  REQUIRE_THROWS_WITH(model(context.input(context.zeros({1, 1, 3})), Mode::train),
                      contains("batch_norm: training needs more than one value for each channel"));
  REQUIRE_THROWS_WITH(model(context.input(context.zeros({2, 4, 4, 3})), Mode::eval),
                      contains("BatchNorm1d: expected 2D or 3D input (got 4D input)"));
  const BatchNorm1d counted = built(context, BatchNorm1d{{.num_features = 10, .affine = false}});
  REQUIRE_THROWS_WITH(counted(context.input(context.zeros({2, 8})), Mode::train),
                      contains("BatchNorm1d: num_features is 10, but x [2, 8] has 8"));
  BatchNorm1d unbuilt;
  REQUIRE_THROWS_WITH(unbuilt(context.input(context.zeros({2, 3})), Mode::eval), contains("used before"));
}

TEST_CASE("BatchNorm: affine is weight and bias, and types are as asked for") {
  Context context;
  BatchNorm0d none = built(context, BatchNorm0d{{.affine = false}}, Shape{2});
  CHECK(names(state(none)) == std::vector<std::string>{"running_mean", "running_var", "num_batches_tracked"});
  BatchNorm0d weight = built(context, BatchNorm0d{{.bias = false, .weight_init = 2.0}}, Shape{2});
  CHECK(parameters(weight).size() == 1);
  const Var x = context.input(context.tensor<std::int64_t>({2, 2}, std::vector<std::int64_t>{1, 4, 3, 2}));
  const Var y = weight(x, Mode::train);
  CHECK(y.dtype() == DType::float32);
  CHECK(y.value().span<float>()[0] == Approx(-2).epsilon(1e-4));
  const BatchNorm0d wide = built(context, BatchNorm0d{{.dtype = DType::float64}}, Shape{2});
  CHECK(wide(x, Mode::eval).dtype() == DType::float64);
}
