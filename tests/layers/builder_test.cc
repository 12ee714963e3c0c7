#include "layers/builder.h"

#include <fmt/format.h>

#include <algorithm>

#include "autodiff/gradcheck.h"
#include "autodiff/ops/elementwise.h"
#include "kernels/error.h"
#include "layers/activation.h"
#include "layers/linear.h"
#include "layers/reshape.h"
#include "layers/sequential.h"
#include "tests/catch.h"

using namespace tapestry;

namespace {

// Two layers and an activation in between: a chain in visit order.
struct Net {
  Linear a{{.out = 5}}, b{{.out = 2, .bias = false}};
  void visit(Visitor& v) {
    v("a", a);
    v("b", b);
  }
  Var operator()(const Var& x, Mode) { return b(a(x)); }
};

// Visited in another order than it is called.
template <bool kSizes>
struct Branches {
  Linear join{{.out = 1, .in = kSizes ? 4 : 0}}, left{{.out = 4, .in = kSizes ? 3 : 0}},
      right{{.out = 4, .in = kSizes ? 3 : 0}};
  void visit(Visitor& v) {
    v("join", join);
    v("left", left);
    v("right", right);
  }
  Var operator()(const Var& x) { return join(left(x) + right(x)); }
};

// The same with shapes routed by hand.
struct Routed : Branches<false> {
  Flow build(Builder& b, const Flow& in) {
    b(right, in);
    return b(join, b(left, in));
  }
};

struct Blocks {
  std::vector<Linear> blocks{Linear{{.out = 3}}, Linear{{.out = 4}}};
  std::optional<Linear> head = Linear{{.out = 2}}, none = {};
  void visit(Visitor& v) {
    v("blocks", blocks);
    v("head", head);
    v("none", none);
  }
  Var operator()(const Var& x) {
    Var y = x;
    for (Linear& block : blocks) y = block(y);
    return (*head)(y);
  }
};

// A layer with a parameter and a buffer of its own.
struct Shift {
  Parameter shift;
  Buffer count;
  void visit(Visitor& v) {
    v("shift", shift);
    v("count", count);
  }
  Flow build(Builder& b, const Flow& in) {
    b.parameter(shift, {b.size("features", 0, in, -1, {})}, Uniform{});
    b.buffer(count, {}, 3, DType::int64);
    return in;
  }
  Var operator()(const Var& x) { return x + shift.on(x); }
};

std::vector<std::string> names(const std::vector<StateEntry>& entries) {
  std::vector<std::string> result;
  for (const StateEntry& entry : entries) result.push_back(entry.name);
  return result;
}

bool one_block(const ParameterList& list) {
  return std::ranges::all_of(
      list, [&](const StateRef& each) { return each.value().block().same(list.front().value().block()); });
}

std::vector<float> values(const ParameterList& list) {
  std::vector<float> all;
  for (const StateRef& each : list) std::ranges::copy(each.value().span<float>(), std::back_inserter(all));
  return all;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("build: sizes flow through a Sequential, names are numbers, all parameters lie in one block") {
  Context context;
  Sequential model = Input{6} >> Linear{{.out = 4}} >> Linear{{.out = 3, .bias = false}};
  model.build(context);
  CHECK(names(model.state()) == Names{"0.weight", "0.bias", "1.weight"});
  CHECK(model.parameters()[1].name() == "0.bias");
  CHECK(model.get<Linear>(0).weight.shape() == Shape{6, 4});
  CHECK(model.get<Linear>(1).weight.shape() == Shape{4, 3});
  CHECK(model.parameters()[0].cell()->layout == FileLayout::linear);
  CHECK(model.parameters()[1].cell()->layout == FileLayout::as_is);
  CHECK(parameter_count(model) == 6 * 4 + 4 + 4 * 3);
  CHECK(one_block(model.parameters()));
  CHECK(model(context.input(context.full({2, 6}, 1)), Mode::eval).shape() == Shape{2, 3});
}

TEST_CASE("build: a struct with visit is a model") {
  Context context;
  Net net;
  const Summary summary = build(context, net, Shape{7});
  CHECK(names(state(net)) == Names{"a.weight", "a.bias", "b.weight"});
  CHECK(net.b.weight.name() == "b.weight");
  CHECK(net.b.weight.shape() == Shape{5, 2});
  CHECK(summary.output == Shape{2});
  CHECK(one_block(parameters(net)));
  CHECK(parameter_count(net) == 7 * 5 + 5 + 10);

  const Net copy = net;
  CHECK(copy.a.weight != net.a.weight);
  CHECK(values(parameters(copy)) == values(parameters(net)));
  REQUIRE_THROWS_WITH(build(context, net, Shape{7}), contains("built before"));
  REQUIRE_THROWS_AS(build(context, net, Shape{7}), ArgumentError);
}

TEST_CASE("build: a struct takes its place in a Sequential, and vectors and optionals theirs in a struct") {
  Context context;
  Sequential model = Input{7} >> Net{} >> Blocks{} >> Shift{};
  model.build(context);
  CHECK(names(model.state()) == Names{"0.a.weight", "0.a.bias", "0.b.weight", "1.blocks.0.weight", "1.blocks.0.bias",
                                      "1.blocks.1.weight", "1.blocks.1.bias", "1.head.weight", "1.head.bias", "2.shift",
                                      "2.count"});
  CHECK(model.get<Shift>(2).count.value().span<std::int64_t>()[0] == 3);
  CHECK(model.state().back().is_buffer);
  CHECK(model.get<Blocks>(1).head->weight.shape() == Shape{4, 2});
}

TEST_CASE("build: where the order of members misleads, given sizes or an own build() route the shapes") {
  Context context;
  Branches<true> sizes;
  CHECK(build(context, sizes, Shape{3}).output == Shape{1});
  Branches<true> no_input;
  CHECK(!build(context, no_input).output);
  CHECK(no_input.join.weight.shape() == Shape{4, 1});

  Routed routed;
  CHECK(build(context, routed, Shape{3}).output == Shape{1});
  CHECK(routed.join.weight.shape() == Shape{4, 1});
  CHECK(names(state(routed))[0] == "join.weight");

  // Taken as the chain join -> left -> right, the call proves it wrong, and nothing is built.
  Branches<false> misled;
  REQUIRE_THROWS_AS(build(context, misled, Shape{3}), ShapeError);
  REQUIRE_THROWS_WITH(build(context, misled, Shape{3}), contains("builder_test.cc:"));
  CHECK(!misled.left.weight.built());
}

TEST_CASE("build: first numbers depend on seed and place, not on threads or on the order of building") {
  const auto first = [](int threads, std::uint64_t seed) {
    Context context{{.threads = threads, .seed = seed}};
    Sequential model = Input{300} >> Linear{{.out = 300}} >> Linear{{.out = 200}};
    model.build(context);
    return values(model.parameters());
  };
  CHECK(first(1, 4) == first(3, 4));
  CHECK(first(1, 4) != first(1, 5));

  Context context;
  Branches<true> visited;
  Routed routed;
  build(context, visited, Shape{3});
  build(context, routed, Shape{3});
  CHECK(values(parameters(visited)) == values(parameters(routed)));

  Sequential model = Input{400} >> Linear{{.out = 100}};
  model.build(context);
  const std::vector<float> weights = values(model.parameters());
  CHECK(*std::ranges::max_element(weights) <= 0.05f);  // 1 / sqrt(400), bias too
  CHECK(*std::ranges::max_element(weights) > 0.0499f);
  CHECK(*std::ranges::max_element(std::span(weights).last(100)) > 0.045f);
}

TEST_CASE("build: errors name the layer's path, its line, the rule and the sizes") {
  Context context;
  const auto message = [&](Sequential model) {
    try {
      model.build(context);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const auto line = std::source_location::current().line() + 1;
  const std::string wrong = message(Input{2, 3} >> Identity{} >> Linear{{.out = 4, .in = 5}});
  CHECK(wrong == fmt::format("1 (builder_test.cc:{}): build: in is 5, but the layer before gives [2, 3], whose axis -1 "
                             "is 3",
                             line));
  CHECK_THAT(message(Linear{{.out = 4}} >> Identity{}), contains("say .in = ..., start the model with Input{...}"));
  CHECK_THAT(message(Input{3} >> (Identity{} >> Linear{{.out = 0}})),
             contains("0.1 (builder_test.cc:") && contains("Linear: out is 0"));
  CHECK_THAT(message(Input{3} >> Linear{{.out = 1, .in = -3}}), contains("in is -3, it must be positive"));
  CHECK_THAT(message(Input(Shape{}) >> Linear{{.out = 1}}), contains("the input [] has no axis -1"));
  CHECK_THAT(message(Input{3} >> [](const Var& x) { return reshape(x, {6}); }), contains("first axis must stay"));
}

TEST_CASE("build: state that visit() and build() do not agree on is an error") {
  struct Hidden {
    Parameter weight = {};
    Linear inner{{.out = 1}};
    bool show = false, declare = true;
    void visit(Visitor& v) {
      if (show) v("weight", weight);
    }
    Flow build(Builder& b, const Flow& in) {
      if (declare) b.parameter(weight, {1}, Constant{});
      return show && declare ? b(inner, in) : in;
    }
    Var operator()(const Var& x) { return x; }
  };
  Context context;
  Hidden hidden;
  REQUIRE_THROWS_WITH(build(context, hidden, Shape{1}), contains("has a parameter that its visit() does not name"));
  Sequential around = Input{1} >> Identity{} >> Hidden{};
  REQUIRE_THROWS_WITH(around.build(context), contains("Hidden 1 has a parameter that its visit() does not name"));
  Hidden undeclared{.show = true, .declare = false};
  REQUIRE_THROWS_WITH(build(context, undeclared, Shape{1}), contains("'weight' got no shape"));
  Hidden unknown_layer{.show = true};
  REQUIRE_THROWS_WITH(build(context, unknown_layer, Shape{1}),
                      contains("has a layer Linear that its visit() does not name"));
  CHECK(!unknown_layer.weight.built());  // though it was declared before the error

  struct Twice {
    Parameter weight;
    void visit(Visitor& v) {
      v("a", weight);
      v("b", weight);
    }
    Var operator()(const Var& x) { return x; }
  } twice;
  REQUIRE_THROWS_WITH(build(context, twice, Shape{1}), contains("'a' and 'b' are the same"));

  Net gone;
  const Net taken = std::move(gone);
  REQUIRE_THROWS_WITH(build(context, gone, Shape{1}), contains("'a.weight': its layer was moved from"));
}

TEST_CASE("build: parts that were built before keep their numbers, and must fit") {
  Context context;
  Shift shift;
  build(context, shift, Shape{4});
  const std::vector<float> before = values(parameters(shift));
  Sequential model = Linear{{.out = 4}} >> shift;
  model.build(context, {2});
  CHECK(values(parameters(model[1])) == before);
  CHECK(one_block(model.parameters()));

  Sequential other = Linear{{.out = 5}} >> shift;
  REQUIRE_THROWS_WITH(other.build(context, {2}), contains("'1.shift' was built as [4] before, here it would be [5]"));
  REQUIRE_THROWS_WITH((Linear{{.out = 4}} >> shift).build(context, {2}, DType::float64),
                      contains("another element type"));
}

TEST_CASE("build: a model without parameters is built once, too") {
  Context context{{.threads = 1}};
  Sequential model = Input{2, 3} >> Flatten{} >> Relu{};
  model.build(context);
  REQUIRE_THROWS_WITH(model.build(context), contains("was built before"));
}

TEST_CASE("build: a model in double is checked by differences") {
  Context context;
  Sequential model = Input{3} >> Net{} >> Shift{};
  model.build(context, {3}, DType::float64);
  const GradcheckResult result = gradcheck(context, [&](std::span<const Var> x) { return model(x[0], Mode::train); },
                                           {context.uniform({2, 3}, -1, 1, 1, DType::float64)});
  INFO(result.message);
  CHECK(result.passed);
}

TEST_CASE("freeze: a layer's parameters leave training and come back") {
  Context context;
  Net net;
  build(context, net, Shape{3});
  freeze(net.a);
  CHECK(!net.a.bias.trainable());
  CHECK(net.b.weight.trainable());
  CHECK(parameters(net).size() == 3);
  freeze(net, false);
  CHECK(net.a.bias.trainable());
}
