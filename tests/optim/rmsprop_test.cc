#include "optim/rmsprop.h"

#include "tests/optim/formulas.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

const Cases<RMSprop> kCases{
    {.lr = 0.01},
    {.lr = 0.01, .alpha = 0.3, .eps = 1e-3, .weight_decay = 0.2},
    {.lr = 0.01, .alpha = 0, .eps = 0.1},
    {.lr = 0.005, .alpha = 0.9, .eps = 1e-3, .momentum = 0.9},
    {.lr = 0.01, .alpha = 0.9, .eps = 1e-2, .weight_decay = 0.1, .centered = true},
    {.lr = 0.005, .alpha = 0.95, .eps = 1e-2, .weight_decay = 0.1, .momentum = 0.8, .centered = true}};

double by_hand(const RMSpropOptions& o, double w, double target, int steps) {
  double square_avg = 0, grad_avg = 0, buffer = 0;
  for (int step = 1; step <= steps; ++step) {
    const double g = w - target + o.weight_decay * w;
    square_avg = o.alpha * square_avg + (1 - o.alpha) * g * g;
    grad_avg = o.alpha * grad_avg + (1 - o.alpha) * g;
    const double avg = std::sqrt(o.centered ? square_avg - grad_avg * grad_avg : square_avg) + o.eps;
    buffer = o.momentum * buffer + g / avg;
    w -= o.lr * buffer;
  }
  return w;
}

}  // namespace

TEST_CASE("RMSprop: every option follows PyTorch's formula") { check_formula<RMSprop>(kCases, by_hand); }

TEST_CASE("RMSprop: the kernel computes its reference on every target") { check_kernel<RMSprop>(kCases); }

TEST_CASE("RMSprop: 10,000 steps stay within 1e-5 of double") {
  Pulled model;
  require_formula<RMSprop>(model, {.lr = 1e-4, .eps = 1e-2, .momentum = 0.5}, by_hand, 10000, 1e-5);
}

TEST_CASE("RMSprop: options outside their rule are refused with name and value") {
  Pulled model;
  const ParameterList list = model.list();
  for (double bad : {kNan, 1.0, -0.1, kInf})
    REQUIRE_THROWS_WITH((RMSprop{list, {.alpha = bad}}), contains("RMSprop: alpha must be in [0, 1), got"));
  for (double bad : {kNan, kInf, 0.0, 1e-40})
    REQUIRE_THROWS_WITH((RMSprop{list, {.eps = bad}}), contains("eps must be finite and at least 1.2e-38, got"));
  for (double bad : {kNan, kInf, -1.0})
    REQUIRE_THROWS_WITH((RMSprop{list, {.momentum = bad}}), contains("momentum must be finite and not negative, got"));
}

TEST_CASE("RMSprop: the state has what the options ask for") {
  Pulled model;
  const auto names = [&](const RMSpropOptions& options) {
    std::string all;
    for (const NamedTensor& entry : RMSprop{model.list(), options}.state())
      if (entry.name.ends_with("/layer.2")) all += entry.name + " ";
    return all;
  };
  REQUIRE(names({}) == "square_avg/layer.2 step/layer.2 ");
  REQUIRE(names({.centered = true}) == "square_avg/layer.2 grad_avg/layer.2 step/layer.2 ");
  REQUIRE(names({.momentum = 0.1, .centered = true}) ==
          "square_avg/layer.2 momentum_buffer/layer.2 grad_avg/layer.2 step/layer.2 ");
}

TEST_CASE("RMSprop: weights stay finite under huge gradients, and centered under those that never change") {
  for_each_target([](const kernels::Device& device) {
    for (const float gradient : {1.0f / 3, 1e-20f, 3e38f}) {
      Guarded<float> g(37, 1, gradient), v(37, 1), a(37, 1), w(37, 1, 1.0f);
      const bool centered = gradient < 1;
      for (int step = 0; step < 300; ++step)  // v and a^2 become one number, but for their rounding
        update(
            device, kernels::RmspropStep{.lr = 1e-3, .alpha = 0.8, .eps = 1e-2},
            kernels::UpdatePiece<float>{g.span(), {v.span(), {}, centered ? a.span() : std::span<float>()}, w.span()});
      for (std::size_t i = 0; i < 37; ++i) REQUIRE(std::isfinite(w[i]));
    }
    count_case(device.target);
  });
}
