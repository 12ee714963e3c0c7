#include "layers/norm_batch.h"

#include <cmath>

#include "autodiff/gradcheck.h"
#include "kernels/error.h"
#include "layers/activation.h"
#include "layers/linear.h"
#include "layers/residual.h"
#include "layers/sequential.h"
#include "optim/sgd.h"
#include "tests/catch.h"

using namespace tapestry;

namespace {

std::vector<float> numbers(const Buffer& buffer) {
  const auto values = buffer.value().span<float>();
  return {values.begin(), values.end()};
}

}  // namespace

TEST_CASE("BatchNorm: state, in PyTorch's names and order") {
  Context context;
  Sequential model = Input{4, 4, 3} >> BatchNorm2d{} >> BatchNorm2d{{.track_running_stats = false, .bias = false}};
  model.build(context);
  std::vector<std::string> names;
  for (const auto& entry : model.state()) names.push_back(entry.name);
  CHECK(names == std::vector<std::string>{"0.weight", "0.bias", "0.running_mean", "0.running_var",
                                          "0.num_batches_tracked", "1.weight"});
  const BatchNorm2d& layer = model.get<BatchNorm2d>(0);
  CHECK(numbers(layer.running_mean) == std::vector<float>{0, 0, 0});
  CHECK(numbers(layer.running_var) == std::vector<float>{1, 1, 1});
  CHECK(layer.num_batches_tracked.value().item() == 0);
}

TEST_CASE("BatchNorm: running statistics change with the step and not before") {
  Context context;
  Sequential model = Input{2} >> BatchNorm1d{};
  model.build(context);
  const BatchNorm1d& layer = model.get<BatchNorm1d>(0);
  const Tensor x = context.tensor({2, 2}, {1, 10, 3, 40});  // means 2 and 25, unbiased variances 2 and 450
  {
    Tape tape{context};
    const Var y = model(tape.input(x), Mode::train);
    CHECK(y.value().span<float>()[0] == Approx(-1).epsilon(1e-4));
    CHECK(numbers(layer.running_mean) == std::vector<float>{0, 0});
  }
  CHECK(layer.num_batches_tracked.value().item() == 0);
  {
    Tape tape{context};
    model(tape.input(x), Mode::train);
    tape.commit();
  }
  CHECK(numbers(layer.running_mean) == std::vector<float>{0.2f, 2.5f});
  CHECK(numbers(layer.running_var) == std::vector<float>{1.1f, 45.9f});
  CHECK(layer.num_batches_tracked.value().item() == 1);

  model(context.input(x), Mode::train);
  const Var y = model(context.input(x), Mode::eval);
  CHECK(y.value().span<float>()[0] == Approx((1 - 0.2) / std::sqrt(1.1 + 1e-5)));
  CHECK(layer.num_batches_tracked.value().item() == 1);
}

TEST_CASE("BatchNorm: an optimizer's step commits the running statistics, and a step that fails does not") {
  Context context;
  Sequential model = Input{2} >> BatchNorm1d{{.momentum = 1, .running_variance = RunningVariance::biased}};
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

TEST_CASE("BatchNorm: without running statistics evaluation uses its own batch") {
  Context context;
  Sequential model = Input{2} >> BatchNorm1d{{.track_running_stats = false}};
  model.build(context);
  const Var x = context.input(context.tensor({2, 2}, {1, 10, 3, 40}));
  CHECK(std::ranges::equal(model(x, Mode::eval).value().span<float>(), model(x, Mode::train).value().span<float>()));
}

TEST_CASE("BatchNorm: wrong ranks, sizes and options are refused by the layer's name and line") {
  Context context;
  const auto fails = [&](Sequential model, const char* reason) {
    REQUIRE_THROWS_WITH(model.build(context), contains("norm_batch_test.cc:") && contains(reason));
  };
  fails(Input{4, 3} >> BatchNorm2d{}, "BatchNorm2d: the input must be [N, H, W, C]; it is N samples of [4, 3]");
  fails(Input{4, 4, 3} >> BatchNorm1d{}, "BatchNorm1d: the input must be [N, C] or [N, L, C]; it is N samples of");
  fails(Input{4, 4, 3} >> BatchNorm3d{}, "BatchNorm3d: the input must be [N, D, H, W, C]");
  fails(Input{3} >> BatchNorm1d{{.num_features = 4}}, "num_features");
  fails(Input{3} >> BatchNorm1d{{.epsilon = -1}}, "epsilon must be positive and finite; it is -1");
  fails(Input{3} >> BatchNorm1d{{.momentum = 2}}, "BatchNorm1d: momentum is 2, it must be in [0, 1]");

  Sequential model = Input{4, 3} >> BatchNorm1d{};
  model.build(context);
  REQUIRE_THROWS_WITH(model(context.input(context.zeros({1, 1, 3})), Mode::train),
                      contains("batch_norm: training needs more than one value for each channel"));
  REQUIRE_THROWS_WITH(model(context.input(context.zeros({2, 4, 4, 3})), Mode::eval),
                      contains("BatchNorm1d: the input"));
  BatchNorm1d unbuilt;
  REQUIRE_THROWS_WITH(unbuilt(context.input(context.zeros({2, 3})), Mode::eval), contains("used before"));
}
