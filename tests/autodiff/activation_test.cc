#include "autodiff/ops/activation.h"

#include <cmath>

#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/ops.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

// y and dx of one number, with dy = 1.
std::pair<double, double> at(double x, const std::function<Var(const Var&)>& f) {
  Context context{{.threads = 1}};
  Tape tape{context};
  const Var in = tape.variable(context.full({1}, x));
  const Var y = f(in);
  return {y.item(), tape.backward(y, context.full({1}, 1))[in].item()};
}

using Pair = std::pair<double, double>;

}  // namespace

TEST_CASE("activations: gradients of relu, leaky_relu and elu") {
  const OpCheck kink{.low = -4, .high = 4, .away_from = 0};
  check_unary([](const Var& x) { return relu(x); }, kink);
  check_unary([](const Var& x) { return leaky_relu(x); }, kink);
  check_unary([](const Var& x) { return leaky_relu(x, {.negative_slope = 0.3}); }, kink);
  check_unary([](const Var& x) { return leaky_relu(x, {.negative_slope = -0.5}); }, kink);
  check_unary([](const Var& x) { return leaky_relu(x, {.negative_slope = 0}); }, kink);
  check_unary([](const Var& x) { return elu(x); }, kink);
  check_unary([](const Var& x) { return elu(x, {.alpha = 0.4}); }, kink);
  check_unary([](const Var& x) { return elu(x, {.alpha = -1.5}); }, kink);
  check_unary([](const Var& x) { return selu(x); }, kink);
}

TEST_CASE("activations: gradients of the smooth ones") {
  const OpCheck cancels{.low = -4, .high = 4, .tolerance = 5e-6};  // slopes near 0
  check_unary([](const Var& x) { return gelu(x); }, cancels);
  check_unary([](const Var& x) { return gelu(x, {.approximate = GeluApproximation::tanh}); }, cancels);
  check_unary([](const Var& x) { return silu(x); }, cancels);
  check_unary([](const Var& x) { return mish(x); }, cancels);
  check_unary([](const Var& x) { return sigmoid(x); }, cancels);
  check_unary([](const Var& x) { return tanh(x); }, cancels);
}

TEST_CASE("activations: gradients of softplus and its options") {
  const OpCheck wide{.low = -4, .high = 4};
  check_unary([](const Var& x) { return softplus(x); }, wide);
  check_unary([](const Var& x) { return softplus(x, {.beta = 2.5}); }, wide);
  check_unary([](const Var& x) { return softplus(x, {.beta = -0.5}); }, wide);
  check_unary([](const Var& x) { return softplus(x, {.beta = 1, .threshold = 1}); },
              {.low = -4, .high = 4, .away_from = 1});
}

TEST_CASE("activations: gradients of hardswish and hardsigmoid on both sides of both kinks") {
  for (double kink : {-3.0, 3.0}) {
    const OpCheck check{.low = kink - 2, .high = kink + 2, .away_from = kink};
    check_unary([](const Var& x) { return hardswish(x); }, check);
    check_unary([](const Var& x) { return hardsigmoid(x); }, check);
  }
}

TEST_CASE("prelu: gradients with one weight and one for each channel") {
  const OpCheck kink{.away_from = 0};
  const OpFunction f = [](std::span<const Var> in) { return prelu(in[0], in[1]); };
  std::vector<Shape> shapes = awkward_shapes();
  shapes.push_back({700, 2});
  for (const Shape& shape : shapes) {
    check_op(f, {shape, {shape[-1]}}, kink);
    check_op(f, {shape, {1}}, kink);
  }
  check_op(f, {{}, {1}}, kink);
}

TEST_CASE("activations: values and slopes at the kinks are PyTorch's") {
  REQUIRE(at(0, [](const Var& x) { return relu(x); }) == Pair(0, 0));
  REQUIRE(at(0, [](const Var& x) { return leaky_relu(x, {.negative_slope = 0.25}); }) == Pair(0, 0.25));
  REQUIRE(at(0, [](const Var& x) { return elu(x, {.alpha = 0.5}); }) == Pair(0, 0.5));
  REQUIRE(at(-3, [](const Var& x) { return hardswish(x); }) == Pair(0, 0));
  REQUIRE(at(3, [](const Var& x) { return hardswish(x); }) == Pair(3, 1));
  REQUIRE(at(-3, [](const Var& x) { return hardsigmoid(x); }) == Pair(0, 0));
  REQUIRE(at(3, [](const Var& x) { return hardsigmoid(x); }) == Pair(1, 0));
  REQUIRE(at(21, [](const Var& x) { return softplus(x); }) == Pair(21, 1));
}

TEST_CASE("activations: known values") {
  const auto value = [](double x, const std::function<Var(const Var&)>& f) {
    return Approx(at(x, f).first).epsilon(1e-6);
  };
  REQUIRE(0.841344746 == value(1, [](const Var& x) { return gelu(x); }));
  REQUIRE(-0.158655254 == value(-1, [](const Var& x) { return gelu(x); }));
  REQUIRE(0.841191991 == value(1, [](const Var& x) { return gelu(x, {.approximate = GeluApproximation::tanh}); }));
  REQUIRE(0.731058579 == value(1, [](const Var& x) { return silu(x); }));
  REQUIRE(0.865098388 == value(1, [](const Var& x) { return mish(x); }));
  REQUIRE(1.313261688 == value(1, [](const Var& x) { return softplus(x); }));
  REQUIRE(1.063464006 == value(1, [](const Var& x) { return softplus(x, {.beta = 2}); }));
  REQUIRE(-1.111330738 == value(-1, [](const Var& x) { return selu(x); }));
  REQUIRE(1.050700987 == value(1, [](const Var& x) { return selu(x); }));
}

TEST_CASE("activations: bad options, shapes and types are refused by name and line") {
  Context context{{.threads = 1}};
  const auto in = [&](const Shape& shape, DType dtype = DType::float32) {
    return context.input(context.zeros(shape, dtype));
  };
  const Var x = in({2, 3});
  REQUIRE_THROWS_AS(leaky_relu(x, {.negative_slope = NAN}), ArgumentError);
  REQUIRE_THROWS_WITH(leaky_relu(x, {.negative_slope = NAN}),
                      contains("activation_test.cc:") && contains("leaky_relu: negative_slope is nan"));
  REQUIRE_THROWS_WITH(elu(x, {.alpha = INFINITY}), contains("elu: alpha is inf"));
  REQUIRE_THROWS_WITH(softplus(x, {.beta = 0}), contains("softplus: beta is 0"));
  REQUIRE_THROWS_WITH(softplus(x, {.beta = NAN}), contains("softplus: beta is nan"));
  REQUIRE_THROWS_WITH(softplus(x, {.threshold = NAN}), contains("softplus: threshold is nan"));
  REQUIRE_THROWS_AS(prelu(x, in({2})), ShapeError);
  REQUIRE_THROWS_WITH(prelu(x, in({2})), contains("prelu: weight must be [1] or [C]") && contains("weight is [2]"));
  REQUIRE_THROWS_AS(prelu(x, in({3, 1})), ShapeError);
  REQUIRE_THROWS_AS(prelu(in({}), in({3})), ShapeError);
  REQUIRE_THROWS_AS(prelu(x, in({3}, DType::float64)), ArgumentError);
  REQUIRE_THROWS_AS(prelu(x, Var()), ArgumentError);
  REQUIRE_THROWS_AS(relu(Var()), ArgumentError);
  REQUIRE_THROWS_WITH(relu(in({2}, DType::int64)),
                      contains("activation_test.cc:") && contains("relu: the input is int64"));
}

TEST_CASE("activate: each name gives its function with default options") {
  using A = Activation;
  const std::pair<A, std::function<Var(const Var&)>> all[] = {
      {A::relu, [](const Var& x) { return relu(x); }},
      {A::leaky_relu, [](const Var& x) { return leaky_relu(x); }},
      {A::elu, [](const Var& x) { return elu(x); }},
      {A::selu, [](const Var& x) { return selu(x); }},
      {A::gelu, [](const Var& x) { return gelu(x); }},
      {A::silu, [](const Var& x) { return silu(x); }},
      {A::mish, [](const Var& x) { return mish(x); }},
      {A::softplus, [](const Var& x) { return softplus(x); }},
      {A::sigmoid, [](const Var& x) { return sigmoid(x); }},
      {A::tanh, [](const Var& x) { return tanh(x); }},
      {A::hardswish, [](const Var& x) { return hardswish(x); }},
      {A::hardsigmoid, [](const Var& x) { return hardsigmoid(x); }},
  };
  for (const auto& [name, f] : all)
    for (double x : {-2.0, -0.5, 0.0, 0.75, 3.5})
      REQUIRE(at(x, [name = name](const Var& v) { return activate(v, name); }) == at(x, f));

  Context context{{.threads = 1}};
  Tape tape{context};
  const Var x = tape.variable(context.full({2}, -1));
  REQUIRE(activate(x, A::none).node() == x.node());
  REQUIRE_THROWS_WITH(activate(x, static_cast<A>(99)),
                      contains("activation_test.cc:") && contains("activate: 99 names no activation"));
}
