// What the tests and the documentation of neupy do with its norm layers.
#include "layers/dialects/neupy.h"

#include <cmath>

#include "autodiff/ops/loss.h"
#include "autodiff/tape.h"
#include "kernels/error.h"
#include "layers/activation.h"
#include "layers/batch_norm.h"
#include "layers/conv.h"
#include "layers/group_norm.h"
#include "layers/linear.h"
#include "layers/reshape.h"
#include "layers/sequential.h"
#include "layers/softmax.h"
#include "optim/sgd.h"
#include "tests/layers/norm_layers.h"

using namespace tapestry;
using test::built;
using test::refusal;

TEST_CASE("neupy: the documented network of two convolutions with GroupNorm has 94714 parameters, and learns") {
  Context context;
  Sequential network = Input{28, 28, 1} >> Conv2d{{.out = 16, .kernel = 3}} >> neupy::group_norm({.n_groups = 4}) >>
                       Relu{} >> Conv2d{{.out = 16, .kernel = 3}} >> neupy::group_norm({.n_groups = 4}) >> Relu{} >>
                       Flatten{} >> Linear{{.out = 10}};
  network.build(context);
  CHECK(parameter_count(network) == 94714);
  CHECK(network.layer_summary().output == Shape{10});
  SGD optimizer{network.parameters(), {.lr = 0.05}};
  const Tensor x = context.normal({4, 28, 28, 1}, 0, 1, 1);
  const Tensor labels = context.tensor<std::int64_t>({4}, std::vector<std::int64_t>{1, 2, 3, 4});
  double first = 0, last = 0;
  for (int step = 0; step < 8; ++step) {
    Tape tape{context};
    const Var loss = cross_entropy(network(tape.input(x), Mode::train), labels);
    optimizer.step(tape.backward(loss));
    (step == 0 ? first : last) = loss.item();
  }
  CHECK(last < first);
}

TEST_CASE("neupy: GroupNorm refuses other ranks and channels that do not divide") {
  Context context;
  CHECK_THAT(refusal(context, neupy::group_norm({.n_groups = 4}), Shape{10, 12}),
             contains("norm_neupy_test.cc:") &&
                 contains("GroupNorm: expected 4D input (got 3D input): the input must be [N, H, W, C]"));
  CHECK_THAT(refusal(context, neupy::group_norm({.n_groups = 4}), Shape{10, 10, 11}),
             contains("11 channels cannot form 4 equal groups"));
  CHECK_THAT(refusal(context, neupy::group_norm({.n_groups = 4})), contains("num_channels is not given"));
  REQUIRE_THROWS_WITH(neupy::group_norm({}), contains("n_groups must be positive; it is 0"));
  const GroupNorm layer = built(context, neupy::group_norm({.n_groups = 4}), Shape{10, 10, 12});
  REQUIRE_THROWS_WITH(layer(context.input(context.zeros({7, 10, 12}))), contains("expected 4D input (got 3D input)"));
}

TEST_CASE("neupy: GroupNorm of [7, 10, 10, 12] in 4 groups, and of 16 channels with the shape known") {
  Context context;
  for (const Shape& shape : {Shape{7, 10, 10, 12}, Shape{7, 6, 6, 16}}) {
    const Tensor x = context.normal(shape, 1, 2, 1);
    const GroupNorm layer =
        built(context, neupy::group_norm({.n_groups = 4, .beta = Uniform{-1, 1}, .gamma = Uniform{1, 2}}),
              shape.drop_front());
    test::require_normalized({.set = test::groups_of(shape, 4),
                              .affine = test::index_over(shape, 3),
                              .weight = test::numbers(layer.weight.value()),
                              .bias = test::numbers(layer.bias.value())},
                             x, layer(context.input(x)).value());
  }
}

TEST_CASE("neupy: GroupNorm of images whose height and width nobody knows") {
  Context context;
  GroupNorm layer = neupy::group_norm({.n_groups = 4, .gamma = Uniform{1, 2}});
  layer.options.num_channels = 16;
  build(context, layer);
  for (const Shape& shape : {Shape{7, 6, 6, 16}, Shape{2, 9, 1, 16}}) {
    const Tensor x = context.normal(shape, 1, 2, 1);
    test::NormProblem p = test::problem(layer, x, 0, 3);
    p.set = test::groups_of(shape, 4);
    test::require_normalized(p, x, layer(context.input(x)).value());
  }
}

// GroupNorm(n_groups=4, beta=Constant(0), gamma=Constant(1), epsilon=1e-05, name='group-norm-1')
TEST_CASE("neupy: what GroupNorm's repr says, in our words") {
  Context context;
  Sequential model = Input{3, 3, 12} >> neupy::group_norm({.n_groups = 4});
  model.build(context);
  const GroupNorm& layer = model.get<GroupNorm>(0);
  CHECK(layer.options.num_groups == 4);
  CHECK(layer.options.group_size == 0);
  CHECK(layer.options.epsilon == 1e-5);
  CHECK(test::numbers(layer.bias.value()) == std::vector<double>(12, 0));
  CHECK(test::numbers(layer.weight.value()) == std::vector<double>(12, 1));
  const Summary summary = model.layer_summary();
  REQUIRE(summary.layers.size() == 1);
  CHECK(summary.layers[0].type == "GroupNorm");
  CHECK(summary.layers[0].path == "0");
  CHECK(summary.layers[0].parameters == 24);
}

TEST_CASE("neupy: gamma and beta are numbers, initializers or arrays [1, 1, 1, C]") {
  Context context;
  const GroupNorm layer = built(
      context, neupy::group_norm({.n_groups = 2, .beta = -1.0, .gamma = context.tensor({1, 1, 1, 4}, {1, 2, 3, 4})}),
      Shape{3, 3, 4});
  CHECK(test::numbers(layer.weight.value()) == std::vector<double>{1, 2, 3, 4});
  CHECK(test::numbers(layer.bias.value()) == std::vector<double>(4, -1));
  CHECK_THAT(refusal(context, neupy::group_norm({.n_groups = 2, .gamma = context.zeros({1, 1, 2, 4})}), Shape{3, 3, 4}),
             contains("the given tensor [1, 1, 2, 4] does not broadcast to the parameter [4]"));
}

TEST_CASE("neupy: BatchNorm in training gives mean 0 and deviation 1, or beta and gamma") {
  Context context;
  const Var x = context.input(context.uniform({30, 10}, 0, 1, 1));
  const auto moments = [&](const neupy::BatchNormOptions& options) {
    const BatchNorm0d layer = built(context, neupy::batch_norm0d(options), Shape{10});
    const std::vector<double> y = test::numbers(layer(x, Mode::train).value());
    double mean = 0, square = 0;
    for (double value : y) {
      mean += value / 300;
      square += value * value / 300;
    }
    return std::pair(mean, std::sqrt(square - mean * mean));
  };
  const auto [mean, deviation] = moments({});
  CHECK(std::abs(mean) < 1e-3);
  CHECK(std::abs(deviation - 1) < 1e-3);
  const auto [beta, gamma] = moments({.beta = -3.14, .gamma = 4.3});
  CHECK(std::abs(beta + 3.14) < 1e-3);
  CHECK(std::abs(gamma - 4.3) < 1e-3);
}

TEST_CASE("neupy: an untrained BatchNorm passes x on, training makes two updates and evaluation none") {
  Context context;
  const BatchNorm0d layer = built(context, neupy::batch_norm0d(), Shape{10});
  std::vector<std::string> names;
  for (const StateEntry& entry : state(layer)) names.push_back(entry.name);
  CHECK(names == std::vector<std::string>{"weight", "bias", "running_mean", "running_inv_std", "num_batches_tracked"});
  const Tensor x = context.uniform({30, 10}, 0, 1, 1);
  CHECK(test::numbers(layer(context.input(x), Mode::eval).value()) == test::numbers(x));
  const auto run = [&](Mode mode) {
    Tape tape{context};
    layer(tape.input(x), mode);
    tape.commit();
  };
  run(Mode::eval);
  CHECK(test::numbers(layer.running_var.value()) == std::vector<double>(10, 1));
  run(Mode::train);
  double mean = 0, square = 0;
  for (std::size_t i = 0; i < 300; i += 10) {
    mean += x.span<float>()[i] / 30.0;
    square += x.span<float>()[i] * x.span<float>()[i] / 30.0;
  }
  CHECK(layer.running_mean.value().span<float>()[0] == Approx(0.1 * mean));
  CHECK(layer.running_var.value().span<float>()[0] == Approx(0.9 + 0.1 / std::sqrt(square - mean * mean + 1e-5)));
  const double m = layer.running_mean.value().span<float>()[0], inverse = layer.running_var.value().span<float>()[0];
  CHECK(layer(context.input(x), Mode::eval).value().span<float>()[0] == Approx((x.span<float>()[0] - m) * inverse));
}

TEST_CASE("neupy: alpha is a fraction, and epsilon is positive here, where neupy takes 0, too") {
  Context context;
  REQUIRE_THROWS_WITH(neupy::batch_norm2d({.alpha = 1.5}),
                      contains("norm_neupy_test.cc:") && contains("alpha is 1.5, it must be in [0, 1]"));
  REQUIRE_THROWS_WITH(neupy::batch_norm2d({.alpha = -0.5}), contains("alpha is -0.5, it must be in [0, 1]"));
  CHECK_THAT(refusal(context, neupy::group_norm({.n_groups = 2, .epsilon = 0}), Shape{3, 3, 4}),
             contains("epsilon must be positive and finite; it is 0"));
  CHECK_THAT(refusal(context, neupy::batch_norm0d({.epsilon = 0}), Shape{4}),
             contains("epsilon must be positive and finite; it is 0"));
}

TEST_CASE("neupy: BatchNorm's axes leave the parameters, and must be unique and exist") {
  Context context;
  const auto shape = [&](const Axes& axes, const Shape& sample) {
    return built(context, neupy::batch_norm1d({.axes = axes}), sample).running_mean.shape();
  };
  CHECK(shape({}, {2, 4}) == Shape{4});
  CHECK(shape({0, 2}, {2, 4}) == Shape{2});
  CHECK(shape(0, {2, 3}) == Shape{2, 3});
  CHECK_THAT(refusal(context, neupy::batch_norm1d({.axes = {0, 0}}), Shape{2, 4}),
             contains("have to contain only unique values"));
  CHECK_THAT(refusal(context, neupy::batch_norm1d({.axes = {0, 3}}), Shape{2, 4}), contains("Invalid axis 3"));
  const BatchNorm1d given =
      built(context, neupy::batch_norm1d({.running_mean = 0.5, .running_inv_std = context.tensor({1, 1, 2}, {2, 3})}),
            Shape{4, 2});
  CHECK(test::numbers(given.running_mean.value()) == std::vector<double>{0.5, 0.5});
  CHECK(test::numbers(given.running_var.value()) == std::vector<double>{2, 3});
}
