#include "optim/sgd.h"

#include "tests/optim/formulas.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

const Cases<SGD> kCases{{.lr = 0.1},
                        {.lr = 0.1, .weight_decay = 0.2},
                        {.lr = 0.05, .momentum = 0.9},
                        {.lr = 0.05, .momentum = 0.9, .dampening = 0.5, .weight_decay = 0.1},
                        {.lr = 0.05, .momentum = 0.9, .weight_decay = 0.1, .nesterov = true}};

double by_hand(const SGDOptions& o, double w, double target, int steps) {
  double b = 0;
  for (int step = 1; step <= steps; ++step) {
    double g = w - target + o.weight_decay * w;
    if (o.momentum != 0) {
      b = step == 1 ? g : o.momentum * b + (1 - o.dampening) * g;
      g = o.nesterov ? g + o.momentum * b : b;
    }
    w -= o.lr * g;
  }
  return w;
}

}  // namespace

TEST_CASE("SGD: every option follows PyTorch's formula") { check_formula<SGD>(kCases, by_hand); }

TEST_CASE("SGD: the kernel computes its reference on every target") { check_kernel<SGD>(kCases); }

TEST_CASE("SGD: 10,000 steps stay within 1e-5 of double") {
  Pulled model;
  require_formula<SGD>(model, {.lr = 1e-3, .momentum = 0.9, .weight_decay = 1e-2}, by_hand, 10000, 1e-5);
}

TEST_CASE("SGD: options outside their rule are refused with name and value") {
  Pulled model;
  const ParameterList list = model.list();
  for (double bad : {kNan, kInf, -1.0})
    REQUIRE_THROWS_WITH((SGD{list, {.momentum = bad}}), contains("SGD: momentum must be finite and not negative, got"));
  REQUIRE_THROWS_WITH((SGD{list, {.momentum = 0.9, .dampening = kNan}}), contains("dampening must be"));
  REQUIRE_THROWS_WITH((SGD{list, {.nesterov = true}}), contains("nesterov needs momentum > 0, got 0"));
  REQUIRE_THROWS_WITH((SGD{list, {.momentum = 0.9, .dampening = 0.5, .nesterov = true}}),
                      contains("nesterov needs dampening = 0"));
  REQUIRE_THROWS_WITH((SGD{list, {.lr = -1}}), contains("sgd_test.cc:"));
}
