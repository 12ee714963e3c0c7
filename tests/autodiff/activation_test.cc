#include "autodiff/ops/activation.h"

#include <fmt/format.h>

#include <cmath>

#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/ops.h"
#include "tests/support/pointwise_cases.h"

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

}  // namespace

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

TEST_CASE("prelu: shapes and types that do not fit are refused") {
  Context context{{.threads = 1}};
  const auto in = [&](const Shape& shape, DType dtype = DType::float32) {
    return context.input(context.zeros(shape, dtype));
  };
  const Var x = in({2, 3});
  REQUIRE_THROWS_AS(prelu(x, in({2})), ShapeError);
  REQUIRE_THROWS_WITH(prelu(x, in({2})), contains("prelu: weight must be [1] or [C]") && contains("weight is [2]"));
  REQUIRE_THROWS_AS(prelu(x, in({3, 1})), ShapeError);
  REQUIRE_THROWS_AS(prelu(in({}), in({3})), ShapeError);
  REQUIRE_THROWS_AS(prelu(x, in({3}, DType::float64)), ArgumentError);
  REQUIRE_THROWS_AS(prelu(x, Var()), ArgumentError);
}

TEST_CASE("activate: each name gives its function with default options") {
  int names = 0;
  for (const PointwiseCase& c : activation_cases())
    if (const auto activation = c.activation()) {
      INFO(c.name());
      ++names;
      for (double x : {-2.0, -0.5, 0.0, 0.75, 3.5})
        REQUIRE(at(x, [&](const Var& v) { return activate(v, *activation); }) == at(x, c.f));
    }

  Context context{{.threads = 1}};
  Tape tape{context};
  const Var x = tape.variable(context.full({2}, -1));
  REQUIRE(activate(x, Activation::none).node() == x.node());
  REQUIRE_NOTHROW(activate(x, static_cast<Activation>(names)));
  for (int number : {names + 1, -1})
    REQUIRE_THROWS_WITH(
        activate(x, static_cast<Activation>(number)),
        contains("activation_test.cc:") && contains(fmt::format("activate: {} names no activation", number)));
}
