#include "layers/builder.h"

#include "autodiff/tape.h"
#include "layers/linear.h"
#include "layers/sequential.h"
#include "tests/catch.h"

using namespace tapestry;

namespace {

struct Net {
  Linear a{{.out = 5}}, b{{.out = 2, .bias = false}};
  void visit(Visitor& v) {
    v("a", a);
    v("b", b);
  }
  Var operator()(const Var& x, Mode) { return b(a(x)); }
};

std::vector<std::string> names(const std::vector<StateEntry>& entries) {
  std::vector<std::string> result;
  for (const StateEntry& entry : entries) result.push_back(entry.name);
  return result;
}

bool one_block(const ParameterList& cells) {
  for (const auto& cell : cells)
    if (!cell->value.block().same(cells.front()->value.block())) return false;
  return true;
}

}  // namespace

TEST_CASE("build: sizes flow through a Sequential, names are numbers, all parameters lie in one block") {
  Context context;
  Sequential model = Input{6} >> Linear{{.out = 4}} >> Linear{{.out = 3, .bias = false}};
  model.build(context);
  CHECK(names(model.state()) == std::vector<std::string>{"0.weight", "0.bias", "1.weight"});
  CHECK(model.get<Linear>(0).weight.shape() == Shape{6, 4});
  CHECK(model.get<Linear>(1).weight.shape() == Shape{4, 3});
  CHECK(parameter_count(model) == 6 * 4 + 4 + 4 * 3);
  CHECK(one_block(model.parameters()));
  CHECK(model(context.input(context.full({2, 6}, 1)), Mode::eval).shape() == Shape{2, 3});
}

TEST_CASE("build: a struct with visit is a model") {
  Context context;
  Net net;
  const Summary summary = build(context, net, Shape{7});
  CHECK(names(state(net)) == std::vector<std::string>{"a.weight", "a.bias", "b.weight"});
  CHECK(net.b.weight.shape() == Shape{5, 2});
  CHECK(summary.output == Shape{2});
  CHECK(one_block(parameters(net)));
}
