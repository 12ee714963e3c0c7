#include "optim/adam.h"

#include <algorithm>

#include "tests/optim/formulas.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

template <class Options>
const std::vector<Options> kCases{{.lr = 0.01, .weight_decay = 0},
                                  {.lr = 0.01, .betas = {0.8, 0.95}, .eps = 1e-3, .weight_decay = 0},
                                  {.lr = 0.01, .betas = {0, 0.9}, .eps = 0.1, .weight_decay = 0},
                                  {.lr = 0.01, .betas = {0, 0}, .eps = 1e-3, .weight_decay = 0.1},
                                  {.lr = 0.01, .weight_decay = 0.1},
                                  {.lr = 0.01, .betas = {0.9, 0.7}, .weight_decay = 0.1, .amsgrad = true}};

template <class Options>
double by_hand(const Options& o, double w, double target, int steps) {
  double mean = 0, square = 0, largest = 0;
  for (int step = 1; step <= steps; ++step) {
    double g = w - target;
    if (std::is_same_v<Options, AdamWOptions>)
      w *= 1 - o.lr * o.weight_decay;
    else
      g += o.weight_decay * w;
    mean = o.betas[0] * mean + (1 - o.betas[0]) * g;
    square = o.betas[1] * square + (1 - o.betas[1]) * g * g;
    largest = std::max(largest, square);
    const double second = (o.amsgrad ? largest : square) / (1 - std::pow(o.betas[1], step));
    w -= o.lr / (1 - std::pow(o.betas[0], step)) * mean / (std::sqrt(second) + o.eps);
  }
  return w;
}

}  // namespace

TEST_CASE("Adam: every option follows PyTorch's formula") {
  check_formula<Adam>(kCases<AdamOptions>, by_hand);
  check_formula<AdamW>(kCases<AdamWOptions>, by_hand);
}

TEST_CASE("Adam: the kernel computes its reference on every target") {
  check_kernel<Adam>(kCases<AdamOptions>);
  check_kernel<AdamW>(kCases<AdamWOptions>);
}

TEST_CASE("AdamW: decays by 0.01 unless told otherwise, Adam does not") {
  Pulled plain(DType::float64), decaying(DType::float64);
  require_formula<Adam>(
      plain, {},
      [](const auto&, double w, double target, int steps) {
        return by_hand(AdamOptions{.weight_decay = 0}, w, target, steps);
      },
      3, 1e-14);
  require_formula<AdamW>(
      decaying, {},
      [](const auto&, double w, double target, int steps) {
        return by_hand(AdamWOptions{.weight_decay = 1e-2}, w, target, steps);
      },
      3, 1e-14);
}

TEST_CASE("Adam: 10,000 steps stay within 1e-5 of double, and AdamW's") {
  Pulled plain, decaying;
  require_formula<Adam>(plain, {.lr = 1e-4, .weight_decay = 0.05}, by_hand, 10000, 1e-5);
  require_formula<AdamW>(decaying, {.lr = 1e-4, .weight_decay = 0.05}, by_hand, 10000, 1e-5);
}

TEST_CASE("Adam: options outside their rule are refused with name and value") {
  Pulled model;
  const ParameterList list = model.list();
  for (double bad : {kNan, 1.0, -0.1, kInf}) {
    REQUIRE_THROWS_WITH((Adam{list, {.betas = {bad, 0.9}}}), contains("Adam: betas must be in [0, 1), got"));
    REQUIRE_THROWS_WITH((AdamW{list, {.betas = {0.9, bad}}}), contains("AdamW: betas must be in [0, 1), got"));
  }
  for (double bad : {kNan, kInf, 0.0, -1e-8, 1e-40})
    REQUIRE_THROWS_WITH((Adam{list, {.eps = bad}}), contains("eps must be finite and at least 1.2e-38, got"));
}

TEST_CASE("Adam: amsgrad keeps the largest second moment beside the others") {
  Pulled model;
  const std::vector<NamedTensor> state = Adam{model.list(), {.amsgrad = true}}.state();
  REQUIRE(state.size() == 4 * model.parameters.size());
  REQUIRE(state[4].name == "exp_avg/layer.1");
  REQUIRE(state[6].name == "max_exp_avg_sq/layer.1");
  REQUIRE(state[7].name == "step/layer.1");
  REQUIRE(state[4].value.shape() == Shape{4, 5});
}

TEST_CASE("Adam: a huge gradient saturates the second moment and leaves weights finite") {
  for_each_target([](const kernels::Device& device) {
    Guarded<float> g(9, 1, 3e38f), m(9, 1), v(9, 1), w(9, 1, 1.0f);
    for (std::int64_t step = 1; step < 20; ++step) {
      update(device, kernels::AdamStep{.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.5, .eps = 1e-8, .step = step},
             kernels::UpdatePiece<float>{g.span(), {m.span(), v.span()}, w.span()});
      for (std::size_t i = 0; i < 9; ++i) REQUIRE((std::isfinite(w[i]) && std::isfinite(v[i])));
    }
    count_case(device.target);
  });
}
