#include "layers/activation.h"

#include "autodiff/gradcheck.h"
#include "kernels/error.h"
#include "layers/sequential.h"
#include "tests/catch.h"

using namespace tapestry;

namespace {

float at(const AnyLayer& layer, float x) {
  static const Context context;
  return layer(context.input(context.tensor({1, 1}, {x})), Mode::eval).value().span<float>()[0];
}

}  // namespace

TEST_CASE("activations: each layer is its op, with its options") {
  CHECK(at(Relu{}, -2) == 0);
  CHECK(at(Relu{}, 2) == 2);
  CHECK(at(LeakyRelu{}, -2) == Approx(-0.02));
  CHECK(at(LeakyRelu{{.negative_slope = 0.5}}, -2) == Approx(-1));
  CHECK(at(Elu{}, -1) == Approx(-0.6321206));
  CHECK(at(Elu{{.alpha = 2}}, -1) == Approx(-1.2642411));
  CHECK(at(Selu{}, -1) == Approx(-1.1113307));
  CHECK(at(Gelu{}, 1) == Approx(0.8413447));
  CHECK(at(Gelu{{.approximate = GeluApproximation::tanh}}, 1) == Approx(0.8411920));
  CHECK(at(Silu{}, 1) == Approx(0.7310586));
  CHECK(at(Mish{}, 1) == Approx(0.8650984));
  CHECK(at(Softplus{}, 0) == Approx(0.6931472));
  CHECK(at(Softplus{{.beta = 2}}, 0) == Approx(0.3465736));
  CHECK(at(Sigmoid{}, 1) == Approx(0.7310586));
  CHECK(at(Tanh{}, 1) == Approx(0.7615942));
  CHECK(at(Hardswish{}, 1) == Approx(2.0 / 3));
  CHECK(at(Hardsigmoid{}, 1) == Approx(2.0 / 3));
}

TEST_CASE("activations: shapes pass unchanged, with and without a known input") {
  Context context;
  Sequential model = Input{3, 4} >> Relu{} >> LeakyRelu{} >> PRelu{} >> Elu{} >> Selu{} >> Gelu{} >> Silu{} >> Mish{} >>
                     Softplus{} >> Sigmoid{} >> Tanh{} >> Hardswish{} >> Hardsigmoid{};
  model.build(context);
  for (const LayerSummary& layer : model.layer_summary().layers) CHECK(layer.output == Shape{3, 4});
  CHECK(model[0].describe() == "Relu");
  CHECK(parameter_count(model) == 1);
}

TEST_CASE("PRelu: one slope for all, or one a channel; it is trained") {
  Context context;
  Sequential model = Input{2, 3} >> PRelu{{.per_channel = true, .init = Constant{0.5}}} >> PRelu{};
  model.build(context, {2, 3}, DType::float64);
  CHECK(model.state()[0].name == "0.weight");
  CHECK(model.get<PRelu>(0).weight.shape() == Shape{3});
  CHECK(model.get<PRelu>(1).weight.shape() == Shape{1});
  CHECK(model.get<PRelu>(1).weight.value().item() == 0.25);
  const GradcheckResult result =
      gradcheck(context, [&](std::span<const Var> x) { return model(x[0], Mode::train); },
                {context.tensor({1, 2, 3}, std::span<const double>(std::array{-1.0, 2.0, -3.0, 4.0, -5.0, 6.0}))});
  INFO(result.message);
  CHECK(result.passed);

  PRelu unbuilt{};
  REQUIRE_THROWS_WITH(unbuilt(context.input(context.zeros({1}))),
                      contains("activation_test.cc:") && contains("PRelu: the layer is used before build()"));
}

TEST_CASE("activations: errors name the layer") {
  Context context;
  Sequential model = Input{3} >> Relu{} >> Softplus{{.beta = 0}};
  model.build(context);
  REQUIRE_THROWS_WITH(model(context.input(context.zeros({1, 3})), Mode::eval), contains("1 (activation_test.cc:"));
  Sequential labels = Input{3} >> Relu{};
  labels.build(context);
  REQUIRE_THROWS_WITH(labels(context.input(context.zeros({1, 3}, DType::int64)), Mode::eval),
                      contains("0 (activation_test.cc:") && contains("relu"));
}
