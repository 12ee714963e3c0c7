#include "layers/layer_norm.h"

#include <cmath>

#include "autodiff/gradcheck.h"
#include "kernels/error.h"
#include "layers/activation.h"
#include "layers/batch_norm.h"
#include "layers/group_norm.h"
#include "layers/instance_norm.h"
#include "layers/linear.h"
#include "layers/reshape.h"
#include "layers/residual.h"
#include "layers/sequential.h"
#include "layers/softmax.h"
#include "optim/sgd.h"
#include "tests/layers/norm_layers.h"

using namespace tapestry;
using test::built;
using test::refusal;

TEST_CASE("LayerNorm: shapes come from the layer before, or are given and must agree") {
  Context context;
  Sequential model = Input{2, 3, 4} >> LayerNorm{} >> LayerNorm{{.axes = 2, .bias = false}} >>
                     LayerNorm{{.normalized_shape = {2, 3, 4}, .weight = false}} >> LayerNorm{4};
  model.build(context);
  CHECK(model.get<LayerNorm>(0).weight.shape() == Shape{4});
  CHECK(model.get<LayerNorm>(1).weight.shape() == Shape{3, 4});
  CHECK(model.get<LayerNorm>(2).bias.shape() == Shape{2, 3, 4});
  CHECK(model.get<LayerNorm>(3).bias.shape() == Shape{4});
  CHECK(model.parameters().size() == 6);
  CHECK(model.layer_summary().output == Shape{2, 3, 4});

  const LayerNorm given = built(context, LayerNorm{{.normalized_shape = {7}}});
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
  fails(LayerNorm{{.axes = 7}});
  LayerNorm unbuilt{};
  REQUIRE_THROWS_WITH(unbuilt(context.input(context.zeros({1, 4}))), contains("LayerNorm: the layer is used before"));
}

TEST_CASE("LayerNorm: the gradients of a model in double are exact, and epsilon arrives") {
  Context context;
  Sequential model = Input{3, 4} >> LayerNorm{{.axes = 2, .epsilon = 0.5}} >> Softmax{} >> Linear{{.out = 3}} >>
                     RMSNorm{} >> LogSoftmax{{.axis = 1}};
  model.build(context, {3, 4}, DType::float64);
  const auto result = gradcheck(context, [&](std::span<const Var> x) { return model(x[0], Mode::train); },
                                {context.uniform({2, 3, 4}, -1, 1, 1, DType::float64)});
  INFO(result.message);
  CHECK(result.passed);

  const LayerNorm layer = built(context, LayerNorm{{.epsilon = 3}}, Shape{2});
  const Var y = layer(context.input(context.tensor({1, 2}, {-1, 1})));  // variance 1
  CHECK(y.value().span<float>()[1] == Approx(0.5));
}

TEST_CASE("LayerNorm: elementwise_affine is weight and bias, and each of them may be left out") {
  Context context;
  CHECK(test::numbers(built(context, LayerNorm{{.weight_init = 3.0, .bias_init = 2.0}}, Shape{2}).weight.value()) ==
        std::vector<double>{3, 3});
  LayerNorm none = built(context, LayerNorm{{.elementwise_affine = false}}, Shape{2});
  CHECK(parameters(none).empty());
  LayerNorm scale = built(context, LayerNorm{{.bias = false}}, Shape{2});
  CHECK(state(scale).front().name == "weight");
  CHECK(parameters(scale).size() == 1);
}

TEST_CASE("LayerNorm and RMSNorm: axes that are reduced, and axes that have parameters") {
  Context context;
  const Tensor x = context.normal({3, 2, 4, 5}, 1, 2, 1);
  const Initializer wide = Uniform{-2, 2};
  const auto check = [&](const Axes& reduced, const Axes& features, const Axes& kept, const Axes& lie) {
    const auto problem = [&](const auto& layer, bool center) {
      test::NormProblem p;
      p.set = test::index_over(x.shape(), kept);
      p.affine = test::index_over(x.shape(), lie);
      p.weight = test::numbers(layer.weight.value());
      p.center = center;
      p.epsilon = layer.options.epsilon;
      return p;
    };
    const LayerNorm layer =
        built(context,
              LayerNorm{{.weight_init = wide, .bias_init = wide, .reduction_axes = reduced, .feature_axes = features}},
              Shape{2, 4, 5});
    test::NormProblem p = problem(layer, true);
    p.bias = test::numbers(layer.bias.value());
    test::require_normalized(p, x, layer(context.input(x)).value());
    const RMSNorm rms = built(
        context, RMSNorm{{.weight_init = wide, .reduction_axes = reduced, .feature_axes = features}}, Shape{2, 4, 5});
    CHECK(rms.weight.shape() == layer.weight.shape());
    test::require_normalized(problem(rms, false), x, rms(context.input(x)).value());
  };
  check({}, {}, {0, 1, 2}, {3});
  check({-1}, -1, {0, 1, 2}, {3});
  check({1, 2, 3}, -1, {0}, {3});
  check({1, 2}, -1, {0, 3}, {3});
  check({2, -2 + 1}, {1, 3}, {0, 1}, {1, 3});
  check({3, 1}, {}, {0, 2}, {1, 3});  // parameters are along what is normalized
  check({0, 1, 2, 3}, 2, {}, {2});
}

TEST_CASE("LayerNorm and RMSNorm: a mask selects what counts, and every place is written") {
  Context context;
  Tensor x = context.normal({4, 6}, 3, 2, 1);
  Tensor mask = context.full({4, 6}, 1);
  for (std::size_t i : {1u, 7u, 8u, 20u}) mask.span<float>()[i] = 0;
  test::NormProblem p{.set = test::index_over(x.shape(), 0),
                      .affine = test::index_over(x.shape(), 1),
                      .weight = std::vector<double>(6, 1)};
  for (double value : test::numbers(mask)) p.selected.push_back(value != 0);
  const LayerNorm layer = built(context, LayerNorm{}, Shape{6});
  test::require_normalized(p, x, layer(context.input(x), mask).value());
  p.center = false;
  p.epsilon = 1e-6;
  const RMSNorm rms = built(context, RMSNorm{}, Shape{6});
  test::require_normalized(p, x, rms(context.input(x), mask).value());
  x.span<float>()[7] = NAN;  // under the mask
  const Var y = layer(context.input(x), mask);
  CHECK(std::isnan(y.value().span<float>()[7]));
  CHECK(std::isfinite(y.value().span<float>()[6]));
  REQUIRE_THROWS_AS(layer(context.input(x), context.full({5}, 1)), ShapeError);
}

TEST_CASE("norm layers: x of the normalized shape, floating types, and axes that exist") {
  Context context;
  const LayerNorm layer = built(context, LayerNorm{{.normalized_shape = {5, 10}, .elementwise_affine = false}});
  REQUIRE_THROWS_WITH(layer(context.input(context.zeros({2, 5, 8}))),
                      contains("LayerNorm: normalized_shape is [5, 10], x [2, 5, 8] must have it along the axes"));
  REQUIRE_THROWS_AS(layer(context.input(context.zeros({10}))), ShapeError);
  const RMSNorm rms = built(context, RMSNorm{{.normalized_shape = {10}, .weight = false}});
  REQUIRE_THROWS_WITH(rms(context.input(context.zeros({2, 8}))), contains("RMSNorm: normalized_shape is [10]"));

  const Shape in{4, 6};
  CHECK(
      refusal(context, LayerNorm{{.dtype = DType::int64}}, in).find("dtype must be float32 or float64; it is int64") !=
      std::string::npos);
  CHECK(refusal(context, RMSNorm{{.dtype = DType::int64}}, in).find("RMSNorm: dtype") != std::string::npos);
  CHECK(refusal(context, RMSNorm{{.epsilon = 0}}, in).find("RMSNorm: epsilon must be positive") != std::string::npos);
  CHECK(refusal(context, LayerNorm{{.epsilon = -1}}, in).find("epsilon must be positive") != std::string::npos);
  const auto invalid = [&](const Axes& reduced, const Axes& features) {
    return refusal(context, LayerNorm{{.reduction_axes = reduced, .feature_axes = features}}, in);
  };
  CHECK_THAT(invalid({3}, -1), contains("Invalid axis 3 for 3D input"));
  CHECK_THAT(invalid({-4}, -1), contains("Invalid axis -4 for 3D input"));
  CHECK_THAT(invalid({2, -1}, -1), contains("reduction_axes {2, -1} of 3D input have to contain only unique values"));
  CHECK_THAT(invalid({-1}, 0), contains("axis 0 is the batch"));
  CHECK_THAT(invalid({-1}, -3), contains("the batch"));
  CHECK_THAT(refusal(context, LayerNorm{{.normalized_shape = {6}, .feature_axes = {1, 2}}}, in),
             contains("normalized_shape is [6], but the parameters are along the axes {1, 2}"));
  CHECK_THAT(refusal(context, LayerNorm{{.feature_axes = {1, 2}}}), contains("normalized_shape is not given"));
  CHECK_THAT(refusal(context, LayerNorm{{.normalized_shape = {4, 6}, .feature_axes = {1, -1}}}),
             contains("LayerNorm: the order of the axes {1, -1} depends on the input"));
}

TEST_CASE("norm layers: normalized_shape is in the order of x, whatever the order of the axes") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.normal({2, 5, 10}, 0, 1, 1));
  const Var expected = layer_norm(x, {}, {}, {.axes = 2});
  for (const Axes& axes : {Axes{1, 2}, Axes{2, 1}, Axes{-1, -2}, Axes{-1, 1}}) {
    const LayerNorm seen =
        built(context, LayerNorm{{.normalized_shape = {5, 10}, .reduction_axes = axes}}, Shape{5, 10});
    CHECK(seen.weight.shape() == Shape{5, 10});
    CHECK(test::numbers(seen(x).value()) == test::numbers(expected.value()));
    if (axes == Axes{-1, 1}) continue;  // whose order is not known before the shape of the input is
    CHECK(built(context, RMSNorm{{.normalized_shape = {5, 10}, .reduction_axes = axes}})(x).shape() == x.shape());
  }
}

TEST_CASE("norm layers: a rank that no input has is refused at the call, too, where nothing was built") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.zeros({2, 3, 3, 4}));
  REQUIRE_THROWS_WITH((BatchNorm2d{{.rank = 9, .track_running_stats = false, .affine = false}}(x, Mode::train)),
                      contains("BatchNorm2d: expected 9D input (got 4D input): the input must be 9D"));
  REQUIRE_THROWS_AS((GroupNorm{{.rank = 7, .weight = false, .bias = false}}(x)), ShapeError);
}

TEST_CASE("norm layers: y has the type that was asked for, and whole numbers count as floats") {
  Context context;
  const auto check = [&](const auto& layer, const auto& wide) {
    const Tensor whole = context.tensor<std::int64_t>({2, 2, 4}, std::vector<std::int64_t>(16, 3));
    CHECK(layer(context.input(whole)).dtype() == DType::float32);
    CHECK(layer(context.input(context.normal({2, 2, 4}, 0, 1, 1, DType::float64))).dtype() == DType::float64);
    CHECK(wide(context.input(context.normal({2, 2, 4}, 0, 1, 1))).dtype() == DType::float64);
  };
  const Shape in{2, 4};
  check(built(context, LayerNorm{}, in), built(context, LayerNorm{{.dtype = DType::float64}}, in));
  check(built(context, RMSNorm{}, in), built(context, RMSNorm{{.dtype = DType::float64}}, in));
  check(built(context, GroupNorm{2}, in), built(context, GroupNorm{{.num_groups = 2, .dtype = DType::float64}}, in));
  check(built(context, InstanceNorm{}, in), built(context, InstanceNorm{{.dtype = DType::float64}}, in));
}

TEST_CASE("norm layers: parameters that are not trained stay as they were") {
  Context context;
  const auto check = [&](auto layer) {
    Sequential model = Input{4, 4} >> Linear{{.out = 4}} >> layer;
    model.build(context);
    REQUIRE(model.parameters().size() > 2);
    for (std::size_t i = 0; i < model.parameters().size(); ++i) CHECK(model.parameters()[i].trainable() == (i < 2));
    const std::vector<double> before = test::numbers(model.parameters().back().value());
    SGD optimizer{model.parameters(), {.lr = 0.1}};
    Tape tape{context};
    const Var y = model(tape.input(context.normal({3, 4, 4}, 0, 1, 1)), Mode::train);
    optimizer.step(tape.backward(y, context.normal(y.shape(), 0, 1, 2)));
    CHECK(test::numbers(model.parameters().back().value()) == before);
  };
  check(LayerNorm{{.trainable = false}});
  check(RMSNorm{{.trainable = false}});
  check(GroupNorm{{.num_groups = 2, .trainable = false}});
  check(BatchNorm1d{{.trainable = false}});
  check(InstanceNorm1d{{.weight = true, .bias = true, .trainable = false}});
}

TEST_CASE("norm layers: replicas whose axis nobody knows are refused by name") {
  Context context;
  const Var x = context.input(context.normal({3, 4, 4}, 0, 1, 1));
  const ReplicaAxes nobody{.names = {"nobody"}}, unnamed{.names = {}, .index_groups = {{0}}};
  const auto check = [&](auto layer) {
    REQUIRE_THROWS_WITH(apply(layer, x, Mode::train), contains("nobody"));
    layer.options.replicas = unnamed;
    REQUIRE_THROWS_AS(apply(layer, x, Mode::train), ArgumentError);
  };
  check(built(context, LayerNorm{{.replicas = nobody}}, Shape{4, 4}));
  check(built(context, RMSNorm{{.replicas = nobody}}, Shape{4, 4}));
  check(built(context, GroupNorm{{.num_groups = 2, .replicas = nobody}}, Shape{4, 4}));
  check(built(context, BatchNorm1d{{.replicas = nobody}}, Shape{4, 4}));
  check(built(context, InstanceNorm1d{{.replicas = nobody}}, Shape{4, 4}));
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
