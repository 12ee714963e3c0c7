#include "layers/norm.h"

#include <cmath>

#include "autodiff/gradcheck.h"
#include "kernels/error.h"
#include "layers/activation.h"
#include "layers/linear.h"
#include "layers/norm_batch.h"
#include "layers/reshape.h"
#include "layers/residual.h"
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

TEST_CASE("GroupNorm: groups by number or by size, and their refusals when the model is built") {
  Context context;
  Sequential model = Input{4, 4, 18} >> GroupNorm{{.num_groups = 6}} >> GroupNorm{{.group_size = 3, .bias = false}} >>
                     GroupNorm{{.num_groups = 1, .num_channels = 18, .weight = false}};
  model.build(context);
  CHECK(model.parameters().size() == 4);
  CHECK(model.get<GroupNorm>(0).weight.shape() == Shape{18});
  CHECK(model.layer_summary().output == Shape{4, 4, 18});
  const Var x = context.input(context.normal({2, 4, 4, 18}, 0, 1, 1));
  Sequential by_number = Input{4, 4, 18} >> GroupNorm{{.num_groups = 6}},
             by_size = Input{4, 4, 18} >> GroupNorm{{.group_size = 3}};
  by_number.build(context);
  by_size.build(context);
  CHECK(
      std::ranges::equal(by_number(x, Mode::eval).value().span<float>(), by_size(x, Mode::eval).value().span<float>()));

  const auto fails = [&](GroupNorm layer, const char* reason) {
    Sequential wrong = Input{4, 4, 18} >> std::move(layer);
    REQUIRE_THROWS_WITH(wrong.build(context), contains("0 (norm_test.cc:") && contains(reason));
  };
  fails(GroupNorm{{.num_groups = 4}}, "GroupNorm: 18 channels cannot form 4 equal groups");
  fails(GroupNorm{{.group_size = 4}}, "GroupNorm: 18 channels cannot form groups of 4");
  fails(GroupNorm{{.epsilon = 1e-5}}, "give either num_groups or group_size; they are 0 and 0");
  fails(GroupNorm{{.num_groups = 2, .group_size = 9}}, "give either num_groups or group_size");
  fails(GroupNorm{{.num_groups = -2}}, "give either");
  fails(GroupNorm{{.num_groups = 2, .num_channels = 16}}, "num_channels");
  fails(GroupNorm{{.num_groups = 2, .epsilon = 0}}, "epsilon must be positive and finite; it is 0");
  GroupNorm unbuilt{{.num_groups = 2}};
  REQUIRE_THROWS_WITH(unbuilt(x), contains("GroupNorm: the layer is used before"));
}

TEST_CASE("InstanceNorm: parameters on request, and inputs of the right rank") {
  Context context;
  Sequential model = Input{4, 4, 3} >> InstanceNorm2d{} >> InstanceNorm2d{{.weight = true, .bias = true}};
  model.build(context);
  CHECK(model.parameters().size() == 2);
  const Var x = context.input(context.normal({2, 4, 4, 3}, 5, 3, 1));
  double sum = 0;
  const Var y = model(x, Mode::eval);
  for (float value : y.value().span<float>()) sum += value;
  CHECK(sum == Approx(0).margin(1e-4));
  Sequential flat = Input{4, 3} >> InstanceNorm2d{};
  REQUIRE_THROWS_WITH(flat.build(context),
                      contains("InstanceNorm2d: the input must be [N, H, W, C]; it is N samples of [4, 3]"));
  const InstanceNorm3d deep;
  REQUIRE_THROWS_WITH(deep(x), contains("InstanceNorm3d: the input must be [N, D, H, W, C]; it is [2, 4, 4, 3]"));
  const InstanceNorm1d lines{{.activation = Activation::relu}};
  CHECK(lines(context.input(context.tensor({1, 2, 1}, {-1, 1}))).value().span<float>()[0] == 0);
}

TEST_CASE("norm layers: a tail is computed in the same pass, with the numbers of layers of their own") {
  Context context{{.threads = 1}};
  const auto nodes = [&](Sequential& model, const Tensor& x, std::vector<float>& found) {
    model.build(context);
    Tape tape{context};
    const Var v = tape.variable(x), y = model(v, Mode::train);
    const std::size_t count = tape.nodes();
    const Gradients gradients = tape.backward(y, x);
    for (const Tensor& t : {y.value(), gradients[v]})
      for (float value : t.span<float>()) found.push_back(value);
    return count;
  };
  const Tensor x = context.normal({3, 4, 4, 8}, 0.5, 2, 3);
  const auto same = [&](auto layer) {
    std::vector<float> fused, apart;
    Sequential one = Input{4, 4, 8} >> Residual{layer} >> Relu{},
               two = Input{4, 4, 8} >> Residual{layer >> Identity{}} >> Identity{} >> Relu{};
    const std::size_t few = nodes(one, x, fused), many = nodes(two, x, apart);
    CHECK(few + 2 == many);
    for (std::size_t i = 0; i < fused.size(); ++i) REQUIRE(fused[i] == Approx(apart[i]).margin(1e-5).epsilon(1e-5));
  };
  same(GroupNorm{{.num_groups = 4}});
  same(BatchNorm2d{});
  same(InstanceNorm2d{});
  same(LayerNorm{});

  std::vector<float> own, behind;
  Sequential within = Input{4, 4, 8} >> LayerNorm{{.activation = Activation::relu}} >> Gelu{},
             after = Input{4, 4, 8} >> LayerNorm{} >> Relu{} >> Gelu{};
  CHECK(nodes(within, x, own) == nodes(after, x, behind));
  CHECK(own == behind);
}
