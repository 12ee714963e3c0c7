#include "layers/norm.h"

#include <cmath>

#include "autodiff/gradcheck.h"
#include "kernels/error.h"
#include "layers/linear.h"
#include "layers/sequential.h"
#include "layers/softmax.h"
#include "tests/catch.h"

using namespace tapestry;

TEST_CASE("LayerNorm: shapes come from the layer before, or are given and must agree") {
  Context context;
  Sequential model = Input{2, 3, 4} >> LayerNorm{} >> LayerNorm{{.axes = 2, .bias = false}} >>
                     LayerNorm{{.normalized_shape = {2, 3, 4}, .weight = false}};
  model.build(context);
  CHECK(model.get<LayerNorm>(0).weight.shape() == Shape{4});
  CHECK(model.get<LayerNorm>(1).weight.shape() == Shape{3, 4});
  CHECK(model.get<LayerNorm>(2).bias.shape() == Shape{2, 3, 4});
  CHECK(model.parameters().size() == 4);
  CHECK(model.layer_summary().output == Shape{2, 3, 4});

  LayerNorm given{{.normalized_shape = {7}}};
  build(context, given);
  CHECK(given.weight.value().span<float>()[6] == 1);
  CHECK(given.bias.value().span<float>()[6] == 0);

  const auto fails = [&](LayerNorm layer) {
    Sequential wrong = Input{2, 3} >> std::move(layer);
    REQUIRE_THROWS_WITH(wrong.build(context), contains("0 (norm_test.cc:"));
    REQUIRE_THROWS_AS(wrong.build(context), Error);
  };
  fails(LayerNorm{{.normalized_shape = {4}}});
  fails(LayerNorm{{.axes = 3}});
  fails(LayerNorm{{.axes = 0}});
  LayerNorm unbuilt{};
  REQUIRE_THROWS_WITH(unbuilt(context.input(context.zeros({1, 4}))), contains("LayerNorm: the layer is used before"));
}

TEST_CASE("LayerNorm: the gradients of a model in double are exact, and epsilon arrives") {
  Context context;
  Sequential model = Input{3, 4} >> LayerNorm{{.axes = 2, .epsilon = 0.5}} >> Softmax{} >> Linear{{.out = 3}} >>
                     LogSoftmax{{.axis = 1}};
  model.build(context, {3, 4}, DType::float64);
  const auto result = gradcheck(context, [&](std::span<const Var> x) { return model(x[0], Mode::train); },
                                {context.uniform({2, 3, 4}, -1, 1, 1, DType::float64)});
  INFO(result.message);
  CHECK(result.passed);

  LayerNorm layer{{.epsilon = 3}};
  build(context, layer, Shape{2});
  const Var y = layer(context.input(context.tensor({1, 2}, {-1, 1})));  // variance 1
  CHECK(y.value().span<float>()[1] == Approx(0.5));
}
