#include "optim/sgd.h"

#include <limits>

#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/optim/models.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInf = std::numeric_limits<double>::infinity();

// torch.optim.SGD, one weight after the other.
std::vector<double> by_hand(const Pulled& model, const SGDOptions& options, int steps) {
  std::vector<double> weights = model.weights(), buffers(weights.size(), 0);
  const std::vector<double> targets = model.wanted();
  for (int step = 0; step < steps; ++step)
    for (std::size_t i = 0; i < weights.size(); ++i) {
      double g = weights[i] - targets[i] + options.weight_decay * weights[i];
      if (options.momentum != 0) {
        buffers[i] = step == 0 ? g : options.momentum * buffers[i] + (1 - options.dampening) * g;
        g = options.nesterov ? g + options.momentum * buffers[i] : buffers[i];
      }
      weights[i] -= options.lr * g;
    }
  return weights;
}

}  // namespace

TEST_CASE("SGD: every option follows PyTorch's formula, in float and double") {
  const SGDOptions cases[] = {{.lr = 0.1},
                              {.lr = 0.1, .weight_decay = 0.2},
                              {.lr = 0.05, .momentum = 0.9},
                              {.lr = 0.05, .momentum = 0.9, .dampening = 0.5, .weight_decay = 0.1},
                              {.lr = 0.05, .momentum = 0.9, .weight_decay = 0.1, .nesterov = true}};
  for (const SGDOptions& options : cases)
    for (DType dtype : {DType::float32, DType::float64}) {
      Pulled model(dtype);
      const std::vector<double> expected = by_hand(model, options, 25);
      SGD optimizer{model.list(), options};
      for (int step = 0; step < 25; ++step) optimizer.step(model.gradients());
      compare(model.weights(), expected, dtype == DType::float32 ? 2e-6 : 1e-13);
      REQUIRE(optimizer.steps() == 25);
    }
}

TEST_CASE("SGD: 10,000 steps stay within 1e-5 of double") {
  Pulled model;
  const SGDOptions options{.lr = 1e-3, .momentum = 0.9, .weight_decay = 1e-2};
  const std::vector<double> expected = by_hand(model, options, 10000);
  SGD optimizer{model.list(), options};
  for (int step = 0; step < 10000; ++step) optimizer.step(model.gradients());
  compare(model.weights(), expected, 1e-5);
}

TEST_CASE("SGD: options outside their rule are refused with name and value") {
  Pulled model;
  const ParameterList list = model.list();
  for (double bad : {kNan, kInf, -1.0}) {
    REQUIRE_THROWS_WITH((SGD{list, {.lr = bad}}), contains("SGD: lr must be finite and not negative, got"));
    REQUIRE_THROWS_WITH((SGD{list, {.momentum = bad}}), contains("momentum must be"));
    REQUIRE_THROWS_WITH((SGD{list, {.weight_decay = bad}}), contains("weight_decay must be"));
    REQUIRE_THROWS_WITH((SGD{list, {.clip_norm = bad}}), contains("clip_norm must be"));
  }
  REQUIRE_THROWS_WITH((SGD{list, {.momentum = 0.9, .dampening = kNan}}), contains("dampening must be"));
  REQUIRE_THROWS_WITH((SGD{list, {.nesterov = true}}), contains("nesterov needs momentum > 0, got 0"));
  REQUIRE_THROWS_WITH((SGD{list, {.momentum = 0.9, .dampening = 0.5, .nesterov = true}}),
                      contains("nesterov needs dampening = 0"));
  REQUIRE_THROWS_AS((SGD{list, {.lr = -1}}), ArgumentError);
  REQUIRE_THROWS_WITH((SGD{list, {.lr = -1}}), contains("sgd_test.cc:"));
  SGD optimizer{list, {.lr = 0.5}};
  REQUIRE_THROWS_AS(optimizer.set_lr(kNan), ArgumentError);
  REQUIRE(optimizer.lr() == 0.5);
  optimizer.set_lr(0);
  REQUIRE(optimizer.lr() == 0);
}

TEST_CASE("sgd: a NaN that no op wrote, in dy of the parameter itself, does not reach the weights") {
  Context context{{.threads = 1}};
  Parameter weight;
  weight.set(context.full({2}, 1));
  SGD optimizer{{weight.cell()}, {.lr = 0.1}};
  Tape tape{context};
  const Var w = weight.on(tape.input(context.zeros({1})));
  REQUIRE_THROWS_AS(optimizer.step(tape.backward(w, context.full({2}, std::numeric_limits<double>::quiet_NaN()))),
                    NumericError);
  REQUIRE(std::as_const(weight).value().span<float>()[1] == 1);
}
