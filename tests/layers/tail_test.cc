// A layer that can computes what follows it in its own pass: the same values and gradients under the same names.
#include <algorithm>

#include "autodiff/ops/elementwise.h"
#include "autodiff/tape.h"
#include "layers/activation.h"
#include "layers/batch_norm.h"
#include "layers/conv.h"
#include "layers/group_norm.h"
#include "layers/instance_norm.h"
#include "layers/layer_norm.h"
#include "layers/linear.h"
#include "layers/reshape.h"
#include "layers/residual.h"
#include "layers/sequential.h"
#include "tests/catch.h"

using namespace tapestry;

namespace {

// y = activation(residual + weight x); keeps the tails that it was given.
struct Scale {
  Parameter weight;  // [C]
  bool residual = true;
  std::shared_ptr<std::vector<Tail>> tails = std::make_shared<std::vector<Tail>>();

  void visit(Visitor& v) { v("weight", weight); }
  Flow build(Builder& b, const Flow& in) {
    b.parameter(weight, {(*in.shape)[-1]}, Uniform{-2, 2});
    return in;
  }
  Part part() const { return {.stage = residual ? Part::Stage::norm : Part::Stage::convolution}; }
  Var operator()(const Var& x, const Tail& tail = {}) const {
    if (!tail.empty()) tails->push_back(tail);
    return finish(x * weight.on(x), tail);
  }
};

// The same without a tail.
struct PlainScale {
  Parameter weight;
  void visit(Visitor& v) { v("weight", weight); }
  Flow build(Builder& b, const Flow& in) {
    b.parameter(weight, {(*in.shape)[-1]}, Uniform{-2, 2});
    return in;
  }
  Var operator()(const Var& x) const { return x * weight.on(x); }
};

// A layer that is handed no tail.
template <class L>
struct Alone {
  L layer;
  void visit(Visitor& v) { layer.visit(v); }
  Flow build(Builder& b, const Flow& in) { return layer.build(b, in); }
  Var operator()(const Var& x, Mode mode) { return apply(layer, x, mode); }
};
template <class L>
Alone(L) -> Alone<L>;

Context& shared_context() {
  static Context context{{.threads = 1, .seed = 5}};
  return context;
}

struct Outcome {
  std::vector<float> numbers;  // y, dx, and the gradients of the parameters
  std::vector<std::string> names;
  std::vector<std::string> lines;  // of the summary, but for the types
};

void append(std::vector<float>& to, const Tensor& from) {
  to.insert(to.end(), from.span<float>().begin(), from.span<float>().end());
}

Outcome outcome(Sequential model, const Shape& input) {
  Context& context = shared_context();
  model.build(context, input);
  Outcome out;
  for (const StateEntry& entry : model.state()) out.names.push_back(entry.name);
  for (const LayerSummary& line : model.layer_summary().layers)
    out.lines.push_back(line.path + to_string(*line.output) + std::to_string(line.parameters));
  Tape tape{context};
  const Var x = tape.variable(context.uniform(input.prepend(5), -1, 1, 1));
  const Var y = model(x, Mode::train);
  append(out.numbers, y.value());
  const Gradients gradients = tape.backward(y, context.uniform(y.shape(), -1, 1, 2));
  append(out.numbers, gradients[x]);
  for (const ParameterGradient& entry : gradients.parameters()) append(out.numbers, entry.gradient);
  return out;
}

void require_same(const Sequential& fused, const Sequential& plain, const Shape& input = {4}) {
  const Outcome a = outcome(fused, input), b = outcome(plain, input);
  REQUIRE(a.numbers == b.numbers);
  REQUIRE(a.names == b.names);
  REQUIRE(a.lines == b.lines);
}

}  // namespace

TEST_CASE("Tail: Sequential hands a layer the Relu behind it, and numbers both") {
  const Scale scale;
  require_same(scale >> Relu{} >> scale >> Relu{} >> scale,
               PlainScale{} >> Relu{} >> PlainScale{} >> Relu{} >> PlainScale{});
  REQUIRE(scale.tails->size() == 2);
  REQUIRE(scale.tails->front().activation == Activation::relu);
  REQUIRE(!scale.tails->front().residual.value());
}

TEST_CASE("Tail: convolutions and norms give the same bits with a Relu and a sum of their own") {
  const auto check = [](const auto& layer) {
    require_same(layer >> Relu{}, Alone{layer} >> Relu{}, {6, 5, 4});
    require_same(Identity{} >> Residual{layer} >> Relu{}, Identity{} >> Residual{Alone{layer}} >> Relu{}, {6, 5, 4});
  };
  const Initializer wide = Uniform{-2, 2};
  check(Conv2d{{.out = 4, .kernel = 3, .padding = 1}});
  check(BatchNorm2d{{.weight_init = wide, .bias_init = wide}});
  check(GroupNorm{{.num_groups = 2, .weight_init = wide, .bias_init = wide}});
  check(LayerNorm{{.weight_init = wide, .bias_init = wide}});
}

TEST_CASE("Tail: only a Relu right behind the layer is its tail") {
  const Scale scale;
  require_same(scale >> Gelu{} >> scale >> Identity{} >> Relu{} >> Relu{},
               PlainScale{} >> Gelu{} >> PlainScale{} >> Identity{} >> Relu{} >> Relu{});
  REQUIRE(scale.tails->empty());
  require_same(Input{4} >> Relu{} >> scale, Input{4} >> Relu{} >> PlainScale{});
  REQUIRE(scale.tails->empty());
}

TEST_CASE("Tail: a model within a model hands it to its last layer") {
  const Scale scale;
  require_same(Identity{} >> (PlainScale{} >> scale) >> Relu{}, Identity{} >> (PlainScale{} >> PlainScale{}) >> Relu{});
  REQUIRE(scale.tails->size() == 1);
  require_same(Identity{} >> (scale >> Relu{}) >> Relu{}, Identity{} >> (PlainScale{} >> Relu{}) >> Relu{});
  REQUIRE(scale.tails->size() == 2);
}

TEST_CASE("Tail: a Residual hands its body the shortcut, and the Relu behind the sum") {
  const Scale scale;
  require_same(Identity{} >> Residual{scale >> Relu{} >> scale} >> Relu{},
               Identity{} >> Residual{PlainScale{} >> Relu{} >> PlainScale{}} >> Relu{});
  REQUIRE(scale.tails->size() == 2);
  REQUIRE(scale.tails->back().activation == Activation::relu);
  REQUIRE(scale.tails->back().residual.shape() == Shape{5, 4});

  const Scale projected;
  require_same(Identity{} >> Residual{projected, PlainScale{}} >> Gelu{},
               Identity{} >> Residual{PlainScale{}, PlainScale{}} >> Gelu{});
  REQUIRE(projected.tails->size() == 1);
  REQUIRE(projected.tails->back().activation == Activation::none);
}

TEST_CASE("Tail: a body that takes activations alone is added by the Residual") {
  Scale scale;
  scale.residual = false;
  require_same(Identity{} >> Residual{scale} >> Relu{}, Identity{} >> Residual{PlainScale{}} >> Relu{});
  REQUIRE(scale.tails->empty());
  require_same(Identity{} >> Residual{Residual{scale}} >> Relu{},
               Identity{} >> Residual{Residual{PlainScale{}}} >> Relu{});
  REQUIRE(scale.tails->empty());
}

TEST_CASE("Tail: what a layer does not take follows it") {
  Context& context = shared_context();
  const Var x = context.input(context.tensor({3}, {-3, 1, 2})),
            residual = context.input(context.tensor({3}, {2, -5, 1}));
  Identity identity;
  std::vector<float> found;
  append(found, apply(identity, x, Mode::eval, {.activation = Activation::relu, .residual = residual}).value());
  append(found, AnyLayer(identity)(x, Mode::eval, {.activation = Activation::relu, .residual = residual}).value());
  append(found, (identity >> Relu{})(residual, Mode::eval, {.activation = Activation::relu, .residual = x}).value());
  REQUIRE(found == std::vector<float>{0, 0, 3, 0, 0, 3, 0, 1, 3});
}

TEST_CASE("Tail: a norm computes any, also behind an activation of its own") {
  Context& context = shared_context();
  const Var x = context.input(context.uniform({2, 4, 4, 2}, -1, 1, 1)),
            residual = context.input(context.uniform({2, 4, 4, 2}, -1, 1, 2));
  const auto check = [&](const auto& layer) {
    for (const Activation activation : {Activation::none, Activation::relu, Activation::silu})
      for (const bool with_residual : {false, true})
        for (const PoolWindows& pool : {PoolWindows(), PoolWindows(Sizes<2>(2))}) {
          const Tail tail{.activation = activation, .residual = with_residual ? residual : Var{}, .pool = pool};
          const Var found = apply(layer, x, Mode::train, tail), expected = finish(apply(layer, x, Mode::train), tail);
          REQUIRE(found.shape() == expected.shape());
          for (std::size_t i = 0; i < found.value().span<float>().size(); ++i)
            REQUIRE(found.value().span<float>()[i] == Approx(expected.value().span<float>()[i]).margin(1e-6));
        }
  };
  for (const Activation own : {Activation::none, Activation::relu, Activation::tanh}) {
    BatchNorm2d batch{{.activation = own, .affine = false}};
    build(context, batch, Shape{4, 4, 2});
    check(batch);
    check(GroupNorm{{.num_groups = 1, .activation = own, .weight = false, .bias = false}});
    check(InstanceNorm{{.activation = own}});
    check(LayerNorm{{.activation = own, .elementwise_affine = false}});
    check(RMSNorm{{.activation = own, .weight = false}});
  }
}
