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
