#include "autodiff/gradient.h"

#include "autodiff/ops/matmul.h"
#include "kernels/error.h"
#include "tests/catch.h"

using namespace tapestry;

TEST_CASE("value_and_gradients: a function of three inputs") {
  Context context{{.threads = 1}};
  const auto f = [](std::span<const Var> in) { return linear(matmul(in[0], in[1]), in[2]); };
  const auto [value, gradients] = value_and_gradients(
      context, f, {context.tensor({1, 2}, {2, 3}), context.tensor({2, 1}, {5, 7}), context.tensor({1, 1}, {10})});
  REQUIRE(value.item() == 310);
  REQUIRE(gradients[0].span<float>()[1] == 70);
  REQUIRE(gradients[1].span<float>()[0] == 20);
  REQUIRE(gradients[2].item() == 31);
  REQUIRE_THROWS_AS(
      value_and_gradients(context, f, {context.zeros({2, 2}), context.zeros({2, 1}), context.zeros({1, 1})}),
      ShapeError);
}
