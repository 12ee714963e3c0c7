#include "optim/adam.h"

#include <algorithm>
#include <limits>

#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/optim/models.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInf = std::numeric_limits<double>::infinity();

// torch.optim.Adam and AdamW, one weight after the other.
std::vector<double> by_hand(const Pulled& model, const AdamOptions& options, bool decoupled, int steps) {
  std::vector<double> weights = model.weights(), mean(weights.size(), 0), square(mean), largest(mean);
  const std::vector<double> targets = model.wanted();
  for (int step = 1; step <= steps; ++step)
    for (std::size_t i = 0; i < weights.size(); ++i) {
      double g = weights[i] - targets[i];
      if (decoupled)
        weights[i] *= 1 - options.lr * options.weight_decay;
      else
        g += options.weight_decay * weights[i];
      mean[i] = options.betas[0] * mean[i] + (1 - options.betas[0]) * g;
      square[i] = options.betas[1] * square[i] + (1 - options.betas[1]) * g * g;
      largest[i] = std::max(largest[i], square[i]);
      const double second = (options.amsgrad ? largest[i] : square[i]) / (1 - std::pow(options.betas[1], step));
      weights[i] -= options.lr / (1 - std::pow(options.betas[0], step)) * mean[i] / (std::sqrt(second) + options.eps);
    }
  return weights;
}

}  // namespace

TEST_CASE("Adam: every option follows PyTorch's formula, in float and double") {
  const AdamOptions cases[] = {{.lr = 0.01},
                               {.lr = 0.01, .betas = {0.8, 0.95}, .eps = 1e-3},
                               {.lr = 0.01, .betas = {0, 0.9}, .eps = 0.1},
                               {.lr = 0.01, .weight_decay = 0.1},
                               {.lr = 0.01, .betas = {0.9, 0.7}, .weight_decay = 0.1, .amsgrad = true}};
  for (const AdamOptions& options : cases)
    for (bool decoupled : {false, true})
      for (DType dtype : {DType::float32, DType::float64}) {
        INFO("case " << &options - cases << (decoupled ? " AdamW " : " Adam ") << dtype_name(dtype));
        Pulled model(dtype);
        const std::vector<double> expected = by_hand(model, options, decoupled, 25);
        if (decoupled) {
          AdamW optimizer{model.list(),
                          {.lr = options.lr,
                           .betas = options.betas,
                           .eps = options.eps,
                           .weight_decay = options.weight_decay,
                           .amsgrad = options.amsgrad}};
          for (int step = 0; step < 25; ++step) optimizer.step(model.gradients());
        } else {
          Adam optimizer{model.list(), options};
          for (int step = 0; step < 25; ++step) optimizer.step(model.gradients());
        }
        compare(model.weights(), expected, dtype == DType::float32 ? 2e-6 : 1e-13);
      }
}

TEST_CASE("AdamW: decays by 0.01 unless told otherwise, Adam does not") {
  for (bool decoupled : {false, true}) {
    Pulled model(DType::float64);
    const std::vector<double> expected = by_hand(model, {.weight_decay = decoupled ? 1e-2 : 0}, decoupled, 3);
    Adam plain{model.list()};
    AdamW decaying{model.list()};
    for (int step = 0; step < 3; ++step) decoupled ? decaying.step(model.gradients()) : plain.step(model.gradients());
    compare(model.weights(), expected, 1e-14);
  }
}

TEST_CASE("Adam and AdamW: 10,000 steps stay within 1e-5 of double") {
  const AdamOptions options{.lr = 1e-4, .weight_decay = 0.05};
  for (bool decoupled : {false, true}) {
    Pulled model;
    const std::vector<double> expected = by_hand(model, options, decoupled, 10000);
    Adam plain{model.list(), options};
    AdamW decaying{model.list(), {.lr = options.lr, .weight_decay = options.weight_decay}};
    for (int step = 0; step < 10000; ++step)
      decoupled ? decaying.step(model.gradients()) : plain.step(model.gradients());
    compare(model.weights(), expected, 1e-5);
  }
}

TEST_CASE("Adam: options outside their rule are refused with name and value") {
  Pulled model;
  const ParameterList list = model.list();
  for (double bad : {kNan, kInf, -1.0, 1e39}) REQUIRE_THROWS_AS((Adam{list, {.lr = bad}}), ArgumentError);
  for (double bad : {kNan, kInf, -1.0}) {
    REQUIRE_THROWS_WITH((Adam{list, {.lr = bad}}), contains("Adam: lr must be finite and not negative, got"));
    REQUIRE_THROWS_WITH((AdamW{list, {.lr = bad}}), contains("AdamW: lr must be finite and not negative, got"));
    REQUIRE_THROWS_WITH((Adam{list, {.weight_decay = bad}}), contains("weight_decay must be"));
    REQUIRE_THROWS_WITH((AdamW{list, {.clip_norm = bad}}), contains("clip_norm must be"));
  }
  for (double bad : {kNan, 1.0, -0.1, kInf}) {
    REQUIRE_THROWS_WITH((Adam{list, {.betas = {bad, 0.9}}}), contains("betas must be in [0, 1), got"));
    REQUIRE_THROWS_WITH((Adam{list, {.betas = {0.9, bad}}}), contains("betas must be in [0, 1), got"));
  }
  for (double bad : {kNan, kInf, 0.0, -1e-8, 1e-40})
    REQUIRE_THROWS_WITH((Adam{list, {.eps = bad}}), contains("eps must be finite and at least 1.2e-38, got"));
  REQUIRE_THROWS_AS((Adam{list, {.eps = 0}}), ArgumentError);
  Adam optimizer{list, {.lr = 0.5}};
  REQUIRE_THROWS_AS(optimizer.set_lr(-1), ArgumentError);
  REQUIRE(optimizer.lr() == 0.5);
}

TEST_CASE("Adam: its state goes over to another optimizer, which then takes the same steps") {
  Pulled a, b;
  Adam first{a.list(), {.lr = 0.1, .amsgrad = true}};
  for (int step = 0; step < 7; ++step) first.step(a.gradients());
  for (std::size_t i = 0; i < a.parameters.size(); ++i) b.parameters[i].assign(a.parameters[i].value());
  Adam second{b.list(), {.lr = 0.1, .amsgrad = true}};
  const std::vector<NamedTensor> state = first.state();
  REQUIRE(state.size() == 4 * a.parameters.size());
  REQUIRE(state[4].name == "exp_avg/layer.1");
  REQUIRE(state[6].name == "max_exp_avg_sq/layer.1");
  REQUIRE(state[7].name == "step/layer.1");
  REQUIRE(state[4].value.shape() == Shape{4, 5});
  second.load_state(state);
  REQUIRE(second.steps() == 7);
  for (int step = 0; step < 3; ++step) {
    first.step(a.gradients());
    second.step(b.gradients());
  }
  REQUIRE(a.weights() == b.weights());
}

TEST_CASE("Adam: a state with a number that is not finite is refused") {
  Pulled model;
  Adam optimizer{model.list(), {.lr = 0.1}};
  std::vector<NamedTensor> state = optimizer.state();
  state[1].value = state[1].value.clone();
  state[1].value.span<float>()[0] = std::nanf("");
  REQUIRE_THROWS_WITH(optimizer.load_state(state), contains("'exp_avg_sq/layer.0' holds a number that is not finite"));
}

TEST_CASE("Adam: a state that does not fit is refused with all that is wrong, and nothing changes") {
  Pulled model;
  Adam optimizer{model.list(), {.lr = 0.1}};
  optimizer.step(model.gradients());
  std::vector<NamedTensor> state = optimizer.state();
  state[0].name = "other";
  state[3].value = model.context.zeros({3, 3});
  state[8].value = model.context.zeros({});
  for (const char* part : {"'exp_avg/layer.0' is missing", "'exp_avg/layer.1' is float32 [3, 3], not float32 [4, 5]",
                           "'step/layer.2' is float32 [], not int64 []", "'other' is unknown"})
    REQUIRE_THROWS_WITH(optimizer.load_state(state), contains(part));
  REQUIRE_THROWS_AS(optimizer.load_state(state), ArgumentError);
  REQUIRE(optimizer.steps() == 1);
}
