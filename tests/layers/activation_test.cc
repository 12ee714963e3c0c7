#include "layers/activation.h"

#include "autodiff/gradcheck.h"
#include "kernels/error.h"
#include "layers/sequential.h"
#include "tests/catch.h"
#include "tests/support/pointwise_cases.h"

using namespace tapestry;

TEST_CASE("activations: each layer is its op, with its options, and shapes pass unchanged") {
  Context context;
  const Tensor x = context.uniform({3, 4}, -4, 4, 1, DType::float64);
  for (const test::PointwiseCase& c : test::activation_cases()) {
    if (!c.layer) continue;
    INFO(c.name());
    Sequential model = Input{4} >> *c.layer;
    model.build(context);
    CHECK(model.layer_summary().layers.front().output == Shape{4});
    CHECK(parameter_count(model) == 0);
    const Tensor y = model(context.input(x), Mode::eval).value(), wanted = c.f(context.input(x)).value();
    CHECK(y.shape() == x.shape());
    CHECK(std::ranges::equal(y.span<double>(), wanted.span<double>()));
  }
}

TEST_CASE("activations: without options, each has a layer") {
  for (const test::PointwiseCase& c : test::activation_cases())
    if (c.activation()) CHECK((c.layer.has_value() ? "" : c.name()) == "");
  CHECK(AnyLayer(Relu{}).describe() == "Relu");
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
