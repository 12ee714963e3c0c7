#include "layers/sequential.h"

#include <algorithm>

#include "autodiff/tape.h"
#include "kernels/error.h"
#include "layers/activation.h"
#include "layers/batch_norm.h"
#include "layers/linear.h"
#include "layers/reshape.h"
#include "layers/residual.h"
#include "tests/catch.h"

using namespace tapestry;

namespace {

Context& shared_context() {
  static Context context{{.threads = 2, .seed = 3}};
  return context;
}

std::vector<float> values(const Tensor& tensor) { return {tensor.span<float>().begin(), tensor.span<float>().end()}; }

std::vector<float> output(const Sequential& model, const Shape& input) {
  return values(model(shared_context().input(shared_context().uniform(input, -1, 1, 1)), Mode::eval).value());
}

bool one_block(const ParameterList& list) {
  return std::ranges::all_of(
      list, [&](const StateRef& each) { return each.value().block().same(list.front().value().block()); });
}

Sequential small() { return Input{2, 3} >> Flatten{} >> Linear{{.out = 4}} >> Linear{{.out = 2}}; }

}  // namespace

TEST_CASE("Sequential: layers are moved or copied into it, and found again") {
  Linear named{{.out = 4, .in = 3}};
  build(shared_context(), named, Shape{3});
  Sequential head = named >> Linear{{.out = 2}};
  CHECK(head.size() == 2);
  CHECK(head[0].describe() == "Linear");
  CHECK(head.get<Linear>(1).options.out == 2);
  CHECK(values(head.get<Linear>(0).weight.value()) == values(named.weight.value()));
  CHECK(head.get<Linear>(0).weight != named.weight);

  const Sequential longer = head >> Flatten{};
  CHECK(longer.size() == 3);
  CHECK(head.size() == 2);
  const StateRef weight = head.get<Linear>(0).weight;
  const Sequential moved = std::move(head) >> Flatten{};
  CHECK(moved.get<Linear>(0).weight == weight);

  const Sequential nested = Linear{{.out = 1}} >> (Linear{{.out = 1}} >> Flatten{});
  CHECK(nested.size() == 2);
  CHECK(nested[1].describe() == "Sequential");

  REQUIRE_THROWS_WITH(moved[3], contains("there is no layer 3, it has 3"));
  REQUIRE_THROWS_WITH(moved.get<Linear>(2), contains("layer 2 is of type Flatten, not Linear"));
}

TEST_CASE("Sequential: a function is a layer") {
  Sequential model = Input{3} >> Linear{{.out = 2}} >>
                     [](const Var& x) {
                       return reshape(x, {-1, 2, 1});
                     } >>
                     Lambda{[](const Var& x) { return flatten(x); }} >> Identity{};
  model.build(shared_context());
  CHECK(model.layer_summary().output == Shape{2});
  CHECK(output(model, {5, 3}).size() == 10);
  REQUIRE_THROWS_AS(Lambda{nullptr}, ArgumentError);
}

TEST_CASE("Sequential: a copy has numbers and one block of its own") {
  Sequential model = small();
  model.build(shared_context());
  Sequential copy = model;
  CHECK(one_block(copy.parameters()));
  CHECK(!copy.parameters()[0].value().block().same(model.parameters()[0].value().block()));
  CHECK(copy.parameters()[2].name() == "2.weight");
  CHECK(output(copy, {4, 2, 3}) == output(model, {4, 2, 3}));

  const std::vector<float> before = output(model, {4, 2, 3});
  copy.get<Linear>(1).weight.assign(shared_context().zeros({6, 4}));
  CHECK(output(model, {4, 2, 3}) == before);
  CHECK(output(copy, {4, 2, 3}) != before);

  copy = model;
  CHECK(output(copy, {4, 2, 3}) == before);
  CHECK(one_block(copy.parameters()));
}

TEST_CASE("Sequential: moving keeps the parameters") {
  Sequential model = small();
  model.build(shared_context());
  const ParameterList list = model.parameters();
  const Sequential moved = std::move(model);
  CHECK(moved.parameters() == list);
  CHECK(moved.built());
}

TEST_CASE("Sequential: built layers keep their numbers in a longer model") {
  Sequential body = small();
  body.build(shared_context());
  const std::vector<float> trained = values(body.get<Linear>(1).weight.value());
  Sequential model = body >> Linear{{.out = 7}};
  CHECK(!model.built());
  model.build(shared_context());
  CHECK(values(model.get<Linear>(1).weight.value()) == trained);
  CHECK(model.get<Linear>(3).weight.shape() == Shape{2, 7});
  CHECK(one_block(model.parameters()));
}

TEST_CASE("Sequential: gradients reach every parameter") {
  Sequential model = small();
  model.build(shared_context());
  Tape tape{shared_context()};
  const Var y = model(tape.input(shared_context().uniform({4, 2, 3}, -1, 1, 1)), Mode::train);
  const Gradients gradients = tape.backward(y, shared_context().full(y.shape(), 1));
  CHECK(gradients.parameters().size() == 4);
  CHECK(gradients[model.get<Linear>(2).bias].span<float>()[0] == 4);
}

TEST_CASE("Sequential: freezing a layer takes it out of training") {
  Sequential model = small();
  model.build(shared_context());
  freeze(model[1]);
  Tape tape{shared_context()};
  const Var y = model(tape.input(shared_context().zeros({4, 2, 3})), Mode::train);
  const Gradients gradients = tape.backward(y, shared_context().full(y.shape(), 1));
  CHECK(gradients.parameters().size() == 2);
  CHECK(parameter_count(model) == 6 * 4 + 4 + 4 * 2 + 2);
  CHECK(parameter_count(model[1]) == 28);
  freeze(model, false);
  CHECK(model.get<Linear>(1).weight.trainable());
}

TEST_CASE("Sequential: misuse is refused, and errors name layer and line") {
  Context& context = shared_context();
  Sequential model = small();
  REQUIRE_THROWS_AS(model(context.input(context.zeros({1, 2, 3})), Mode::eval), ArgumentError);
  REQUIRE_THROWS_WITH(model(context.input(context.zeros({1, 2, 3})), Mode::eval),
                      contains("sequential_test.cc:") && contains("Linear: the layer is used before build()"));
  REQUIRE_THROWS_WITH(model.summary(), contains("not built"));
  model.build(context);
  REQUIRE_THROWS_WITH(model.build(context), contains("built before"));
  REQUIRE_THROWS_AS(model.build(context), ArgumentError);
  REQUIRE_THROWS_WITH(model(context.input(context.zeros({1, 7})), Mode::eval),
                      contains("1 (sequential_test.cc:") && contains("): linear: "));

  Sequential without = Linear{{.out = 4}} >> Linear{{.out = 2}};
  REQUIRE_THROWS_WITH(without.build(context), contains("0 (sequential_test.cc:") && contains("in is not given"));
  REQUIRE_THROWS_WITH(small().build(context, {6}), contains("starts with Input[2, 3], but it is given [6]"));
  without.build(context, {3});
  CHECK(output(without, {5, 3}).size() == 10);
}

TEST_CASE("Residual: the shortcut is added, through a projection where shapes change") {
  Context& context = shared_context();
  const Initializer twos = Constant{2};
  Sequential plain = Input{2} >> Residual{Linear{{.out = 2, .weight_init = twos, .bias_init = Constant{1}}}};
  plain.build(context);
  CHECK(plain.state()[0].name == "0.body.weight");
  CHECK(values(plain(context.input(context.tensor({1, 2}, {1, 10})), Mode::eval).value()) ==
        std::vector<float>{24, 33});

  Sequential projected =
      Input{2} >> Residual{Linear{{.out = 3}} >> Linear{{.out = 1, .bias = false, .weight_init = Constant{0}}},
                           Linear{{.out = 1, .bias = false, .weight_init = twos}}};
  projected.build(context);
  CHECK(projected.parameters().back().name() == "0.projection.weight");
  CHECK(projected.state()[1].name == "0.body.0.bias");
  CHECK(values(projected(context.input(context.tensor({1, 2}, {1, 10})), Mode::eval).value()) ==
        std::vector<float>{22});

  Sequential wrong = Input{2} >> Residual{Linear{{.out = 1}}};
  REQUIRE_THROWS_AS(wrong.build(context), ShapeError);
  REQUIRE_THROWS_WITH(wrong.build(context),
                      contains("0 (sequential_test.cc:") && contains("the body gives [1], the shortcut gives [2]"));
}

TEST_CASE("Residual: a residual within a residual is one of two") {
  Residual inner{Linear{{.out = 2}}};
  Sequential model = Input{2} >> Residual{inner >> Identity{}} >> Residual{Residual{Linear{{.out = 2}}}};
  model.build(shared_context());
  CHECK(model.state()[0].name == "0.body.0.body.weight");
}

TEST_CASE("sequential: a built model grows by a layer without parameters, and a moved-from one is not built") {
  Context context{{.threads = 1}};
  Sequential model = Input{2} >> Linear{{.out = 3}};
  model.build(context);
  model.append(Relu{});
  const Tensor weight = model.get<Linear>(0).weight.value().clone();
  model.build(context);
  REQUIRE(std::ranges::equal(weight.span<float>(), std::as_const(model.get<Linear>(0)).weight.value().span<float>()));
  const Sequential moved = std::move(model);
  REQUIRE(moved.built());
  REQUIRE_FALSE(model.built());
  REQUIRE_THROWS_AS(model(context.input(context.zeros({1, 2})), Mode::eval), ArgumentError);
}

TEST_CASE("sequential: layers that were moved from are refused wherever they are used, and may be assigned to") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.zeros({4, 2}));
  Residual residual{Linear{{.out = 2}}};
  build(context, residual, Shape{2});
  const Residual taken = std::move(residual);
  const Residual copy = residual;
  REQUIRE_THROWS_WITH(copy(x, Mode::train), contains("this layer was moved from"));
  REQUIRE_THROWS_AS(parameters(residual), ArgumentError);
  REQUIRE_THROWS_AS((Input{2} >> copy >> Relu{}).build(context), ArgumentError);
  residual = taken;
  REQUIRE(residual(x, Mode::train).shape() == Shape{4, 2});

  Sequential model = Input{2} >> Linear{{.out = 2}} >> BatchNorm1d{} >> Relu{};
  model.build(context);
  Sequential part = model;
  const Buffer variance = std::move(part.get<BatchNorm1d>(1).running_var);
  REQUIRE_THROWS_WITH(part(x, Mode::train), contains("running_var holds nothing"));
  const Parameter bias = std::move(part.get<Linear>(0).bias);
  REQUIRE_THROWS_WITH(part(x, Mode::train), contains("Linear: the layer was moved from"));
  AnyLayer first = Linear{{.out = 2}};
  const AnyLayer second = std::move(first);
  model.replace(0, first);
  REQUIRE_THROWS_AS(model(x, Mode::train), ArgumentError);
  REQUIRE_THROWS_AS(model[0].describe(), ArgumentError);

  const Sequential whole = std::move(part);
  part.append(Linear{{.out = 5}});
  part.build(context, {3});
  REQUIRE(part(context.input(context.zeros({1, 3})), Mode::train).shape() == Shape{1, 5});
}

TEST_CASE("sequential: a model that outlived its context still names its layer in errors") {
  Sequential model = Input{2} >> Linear{{.out = 3}};
  {
    Context first{{.threads = 1}};
    model.build(first);
  }
  Context second{{.threads = 1}};
  REQUIRE_THROWS_WITH(model(second.input(second.zeros({2, 7})), Mode::eval), contains("0 (sequential_test.cc:"));
}

TEST_CASE("sequential: a layer that takes the place of another is to be built, the others keep their numbers") {
  Context context{{.threads = 1}};
  Sequential model = small();
  model.build(context);
  const std::vector<float> kept = values(model.get<Linear>(1).weight.value());
  model.replace(2, Linear{{.out = 5}});
  CHECK(!model.built());
  REQUIRE_THROWS_WITH(model.summary(), contains("not built"));
  REQUIRE_THROWS_WITH(model(context.input(context.zeros({1, 2, 3})), Mode::eval), contains("used before build()"));
  model.build(context);
  CHECK(model.layer_summary().output == Shape{5});
  CHECK(model.parameters()[2].name() == "2.weight");
  CHECK(one_block(model.parameters()));
  CHECK(values(model.get<Linear>(1).weight.value()) == kept);
  REQUIRE_THROWS_WITH(model.replace(3, Relu{}), contains("there is no layer 3, it has 3"));
  static_assert(!std::is_assignable_v<decltype(model[0]), AnyLayer>);
}

TEST_CASE("sequential: a const model has const layers") {
  static_assert(std::is_same_v<decltype(std::declval<const Sequential&>().get<Linear>(0)), const Linear&>);
  static_assert(std::is_same_v<decltype(std::declval<Sequential&>().get<Linear>(0)), Linear&>);
  static_assert(std::is_same_v<decltype(std::declval<Sequential&>()[0]), const AnyLayer&>);
  static_assert(std::is_same_v<decltype(std::declval<const AnyLayer&>().get<Linear>()), const Linear*>);
  AnyLayer layer = Linear{{.out = 1}};
  layer.get<Linear>()->options.out = 2;
  CHECK(std::as_const(layer).get<Linear>()->options.out == 2);
  CHECK(layer.get<Relu>() == nullptr);
}
