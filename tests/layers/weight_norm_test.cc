#include "layers/weight_norm.h"

#include <cmath>

#include "autodiff/ops/elementwise.h"
#include "autodiff/ops/loss.h"
#include "autodiff/ops/matmul.h"
#include "autodiff/ops/reduce.h"
#include "autodiff/tape.h"
#include "io/layout.h"
#include "io/model.h"
#include "kernels/error.h"
#include "layers/activation.h"
#include "layers/conv.h"
#include "layers/linear.h"
#include "layers/reshape.h"
#include "layers/residual.h"
#include "layers/sequential.h"
#include "optim/sgd.h"
#include "tests/catch.h"
#include "tests/support/files.h"
#include "tests/support/golden.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

Context& shared_context() {
  static Context context{{.threads = 1, .seed = 5}};
  return context;
}

Tensor sample(const Shape& shape, std::uint64_t stream = 1) { return shared_context().normal(shape, 0, 1, stream); }

std::vector<std::string> names_of(const Sequential& model) {
  std::vector<std::string> names;
  for (const StateEntry& entry : model.state())
    names.push_back(entry.name + " " + to_string(io::file_shape(entry.shape(), entry.state.cell()->layout)));
  return names;
}

using Names = std::vector<std::string>;

Tensor evaluate(const Sequential& model, const Tensor& x) {
  return model(shared_context().input(x), Mode::eval).value();
}

// A model of one wrapper around a layer, at each of the layers that can be wrapped.
template <class Wrap>
std::vector<std::pair<Sequential, Shape>> around_all(const Wrap& wrap) {
  std::vector<std::pair<Sequential, Shape>> models;
  const auto add = [&](const auto& layer, const Shape& input) {
    models.emplace_back();
    models.back().first.append(wrap(layer));
    models.back().second = input;
  };
  add(Linear{{.out = 7}}, {5});
  add(Linear{{.out = 7, .bias = false}}, {4, 5});
  add(Conv1d{{.out = 6, .kernel = 3, .groups = 2}}, {9, 4});
  add(Conv2d{{.out = 6, .kernel = {3, 2}, .activation = Activation::relu}}, {5, 6, 3});
  add(Conv3d{{.out = 4, .kernel = 2}}, {3, 4, 3, 2});
  add(ConvTranspose1d{{.out = 6, .kernel = 3, .stride = 2}}, {5, 4});
  add(ConvTranspose2d{{.out = 6, .kernel = {3, 2}, .groups = 2}}, {3, 4, 4});
  add(ConvTranspose3d{{.out = 3, .kernel = 2, .bias = false}}, {2, 3, 2, 4});
  return models;
}

template <class Wrap>
void check_training(const Wrap& wrap) {
  for (auto& [layer, input] : around_all(wrap)) {
    INFO("a layer of " << layer[0].describe() << " on " << to_string(input));
    Sequential model = Sequential(Input(input));
    model.append(layer[0]).append(Flatten{}).append(Linear{{.out = 3}});
    Context context{{.threads = 2, .seed = 3}};
    model.build(context);
    const Tensor x = sample(input.prepend(6));
    Tensor labels = context.zeros({6}, DType::int64);
    for (std::size_t i = 0; i < 6; ++i) labels.span<std::int64_t>()[i] = static_cast<std::int64_t>(i % 3);
    SGD optimizer{model.parameters(), {.lr = 0.05, .momentum = 0.9}};
    double first = 0, last = 0;
    for (int step = 0; step < 40; ++step) {
      Tape tape{context};
      const Var loss = cross_entropy(model(tape.input(x), Mode::train), labels);
      optimizer.step(tape.backward(loss));
      last = loss.item();
      if (step == 0) first = last;
    }
    REQUIRE(last < 0.5 * first);
    // The file has all of it, a copy goes its own way.
    const TempDir folder;
    io::save(model, folder / "weights");
    Sequential again{Input(input)};
    again.append(layer[0]).append(Flatten{}).append(Linear{{.out = 3}});
    Context other{{.threads = 1, .seed = 99}};
    again.build(other);
    io::load(other, again, folder / "weights");
    const Tensor y = evaluate(model, x);
    REQUIRE(largest_difference(again(other.input(x), Mode::eval).value(), y) == 0);
    const Sequential copy = model;
    for (const StateEntry& entry : model.state()) entry.state.cell()->value.fill(0.25);
    REQUIRE(largest_difference(evaluate(copy, x), y) == 0);
    REQUIRE(largest_difference(evaluate(model, x), y) > 0);
  }
}

}  // namespace

TEST_CASE("WeightNorm: PyTorch's names and shapes in files, outputs of transposed convolutions on axis 1") {
  Context& context = shared_context();
  const auto built = [&](Sequential model) {
    model.build(context);
    return names_of(model);
  };
  REQUIRE(built(Input{5} >> WeightNorm{Linear{{.out = 7}}} >> Identity{}) ==
          Names{"0.bias [7]", "0.weight_g [7, 1]", "0.weight_v [7, 5]"});
  REQUIRE(built(Input{5, 6, 4} >> WeightNorm{Conv2d{{.out = 6, .kernel = {3, 2}, .groups = 2, .bias = false}}} >>
                Identity{}) == Names{"0.weight_g [6, 1, 1, 1]", "0.weight_v [6, 2, 3, 2]"});
  REQUIRE(built(Input{5, 6, 4} >> WeightNorm{ConvTranspose2d{{.out = 6, .kernel = 2}}} >> Identity{}) ==
          Names{"0.bias [6]", "0.weight_g [1, 6, 1, 1]", "0.weight_v [4, 6, 2, 2]"});
  REQUIRE(built(Input{5, 6, 4} >> WeightNorm{ConvTranspose2d{{.out = 6, .kernel = 2}}, {.feature_axes = -1}} >>
                Identity{}) == Names{"0.bias [6]", "0.weight_g [4, 1, 1, 1]", "0.weight_v [4, 6, 2, 2]"});
  REQUIRE(built(Input{5} >> WeightNorm{Linear{{.out = 7}}, {.feature_axes = Axes{}}} >> Identity{}) ==
          Names{"0.bias [7]", "0.weight_g []", "0.weight_v [7, 5]"});
  REQUIRE(built(Input{5} >> WeightNorm{Linear{{.out = 7}}, {.feature_axes = Axes{-1, 0}}} >> Identity{}) ==
          Names{"0.bias [7]", "0.weight_g [7, 5]", "0.weight_v [7, 5]"});
}

TEST_CASE("WeightNorm: the wrapped layer starts as the plain one, and follows weight_g") {
  for (const double epsilon : {1e-12, 0.5}) {
    const auto check = [&](const auto& layer, const Shape& input) {
      WeightNorm wrapped{layer, {.epsilon = epsilon}};
      build(shared_context(), wrapped, input);
      const Var x = shared_context().input(sample(input.prepend(3)));
      require_near("y", wrapped(x).value(), wrapped.layer(x).value(), 2e-6);
    };
    check(Linear{{.out = 7}}, {5});
    check(Conv2d{{.out = 6, .kernel = 3, .groups = 3}}, {5, 5, 3});
    check(ConvTranspose2d{{.out = 6, .kernel = 3, .stride = 2, .groups = 2}}, {4, 5, 4});
  }
  Context& context = shared_context();
  Sequential model = Input{4} >> WeightNorm{Linear{{.out = 3, .bias = false}}} >> Identity{};
  model.build(context);
  auto& layer = model.get<WeightNorm<Linear>>(0);
  const Tensor x = sample({2, 4}), y = evaluate(model, x);
  // As built, weight_g is the length of weight_v: the product is x weight_v.
  const Tensor product = matmul(context.input(x), context.input(layer.layer.weight.value())).value();
  require_near("y", y, product, 1e-6);
  layer.weight_g.assign((context.input(layer.weight_g.value()) * 2).value());
  require_near("y", evaluate(model, x), (context.input(y) * 2).value(), 1e-6);
}

TEST_CASE("WeightNorm: a weight of zeros is trained all the same") {
  Context context{{.threads = 1}};
  Sequential model =
      Input{4} >> WeightNorm{Linear{{.out = 3, .bias = false, .weight_init = Constant{0}}}} >> Identity{};
  model.build(context);
  Tape tape{context};
  const Gradients gradients = tape.backward(sum(model(tape.input(context.full({2, 4}, 1)), Mode::train)));
  const Tensor gradient = gradients[model.get<WeightNorm<Linear>>(0).layer.weight];
  for (const float g : gradient.span<float>()) REQUIRE(g == Approx(2));
}

TEST_CASE("WeightStandardization: names, the gain, and its numbers") {
  Context& context = shared_context();
  Sequential model = Input{5, 6, 2} >>
                     WeightStandardization{Conv2d{{.out = 4, .kernel = 3}}, {.gain = true, .gain_init = Constant{3}}} >>
                     Identity{};
  model.build(context);
  REQUIRE(names_of(model) == Names{"0.weight [4, 2, 3, 3]", "0.bias [4]", "0.gain [4, 1, 1, 1]"});
  const auto& layer = model.get<WeightStandardization<Conv2d>>(0);
  const Var w = context.input(layer.layer.weight.value());
  const Var x = context.input(sample({2, 5, 6, 2}));
  const Var expected = conv2d(x, weight_standardization(w, context.input(context.full({4}, 3))),
                              context.input(layer.layer.bias.value()));
  require_near("y", evaluate(model, x.value()), expected.value(), 1e-6);
  Sequential none =
      Input{5} >> WeightStandardization{Linear{{.out = 3}}, {.out_axis = 0, .epsilon = 100}} >> Identity{};
  none.build(context);
  REQUIRE(names_of(none) == Names{"0.weight [3, 5]", "0.bias [3]"});
  const auto& other = none.get<WeightStandardization<Linear>>(0);
  const Var rows =
      weight_standardization(context.input(other.layer.weight.value()), {}, {.out_axis = 0, .epsilon = 100});
  const Tensor z = sample({2, 5});
  require_near("y", evaluate(none, z), linear(context.input(z), rows, context.input(other.layer.bias.value())).value(),
               1e-6);
}

TEST_CASE("SpectralNorm: PyTorch's names, vectors from the seed, and a largest singular value of 1") {
  Context& context = shared_context();
  Sequential model = Input{5, 6, 3} >> SpectralNorm{Conv2d{{.out = 4, .kernel = {3, 2}}}} >>
                     SpectralNorm{ConvTranspose2d{{.out = 6, .kernel = 2, .groups = 2}}} >> Identity{};
  model.build(context);
  REQUIRE(names_of(model) == Names{"0.bias [4]", "0.weight_orig [4, 3, 3, 2]", "0.weight_u [4]", "0.weight_v [18]",
                                   "1.bias [6]", "1.weight_orig [4, 3, 2, 2]", "1.weight_u [3]", "1.weight_v [16]"});
  REQUIRE(model.parameters().size() == 4);
  Sequential line = Input{6} >> SpectralNorm{Linear{{.out = 6, .bias = false}}, {.power_iterations = 60}} >> Identity{};
  line.build(context);
  const auto& layer = line.get<SpectralNorm<Linear>>(0);
  // The normalized weight stretches the vector of its largest singular value by 1.
  const Tensor y = evaluate(line, layer.weight_v.value().reshape({1, 6}));
  double length = 0;
  for (float value : std::as_const(y).span<float>()) length += value * value;
  REQUIRE(length == Approx(1).epsilon(1e-4));
  Context other{{.threads = 1, .seed = 6}};
  Sequential another = Input{6} >> SpectralNorm{Linear{{.out = 6}}} >> Identity{}, same = another;
  Sequential zeros = Input{6} >> SpectralNorm{Linear{{.out = 6, .weight_init = Constant{0}}}} >> Identity{};
  another.build(other);
  same.build(other);
  zeros.build(other);
  const auto u = [](const Sequential& m) { return m.get<SpectralNorm<Linear>>(0).weight_u.value(); };
  REQUIRE(largest_difference(u(another), u(same)) == 0);
  REQUIRE(largest_difference(u(another), layer.weight_u.value()) > 0.01);
  double start = 0;  // which a weight of zeros must not take away
  const Tensor first = u(zeros);
  for (float value : first.span<float>()) start += value * value;
  REQUIRE(start > 0.1);
}

TEST_CASE("SpectralNorm: vectors move with the step in training, and stay in evaluation") {
  Context context{{.threads = 1, .seed = 4}};
  Sequential model = Input{6} >> SpectralNorm{Linear{{.out = 6}}} >> Identity{};
  model.build(context);
  const Buffer& u = model.get<SpectralNorm<Linear>>(0).weight_u;
  const Tensor before = u.value().clone();
  Tape tape{context};
  model(tape.input(sample({2, 6})), Mode::eval);
  tape.commit();
  REQUIRE(largest_difference(u.value(), before) == 0);
  Tape training{context};
  const Var y = model(training.input(sample({2, 6})), Mode::train);
  REQUIRE(largest_difference(u.value(), before) == 0);
  training.commit();
  REQUIRE(largest_difference(u.value(), before) > 0);
  REQUIRE(largest_difference(evaluate(model, sample({2, 6})), y.value()) == 0);
}

TEST_CASE("norms of weights as layers: small networks learn, files and copies hold all of them") {
  check_training([](const auto& layer) { return WeightNorm{layer}; });
  check_training([](const auto& layer) { return WeightStandardization{layer, {.gain = true}}; });
  check_training([](const auto& layer) { return SpectralNorm{layer}; });
}

TEST_CASE("norms of weights as layers: the tail that follows is taken as by the layer alone") {
  Context& context = shared_context();
  const Conv2d conv{{.out = 3, .kernel = 3, .padding = 1}};
  const auto check = [&](auto layer) {
    Sequential chain = Input{5, 6, 3} >> layer >> Relu{} >> Residual{layer} >> Relu{};
    chain.build(context);
    const Tensor x = sample({2, 5, 6, 3});
    using L = decltype(layer);
    auto &first = chain.get<L>(0), &second = *chain.get<Residual>(2).body.template get<L>();
    const Var a = relu(apply(first, context.input(x), Mode::eval));
    const Var expected = relu(a + apply(second, a, Mode::eval));
    require_near("y", evaluate(chain, x), expected.value(), 1e-6);
  };
  check(WeightNorm{conv});
  check(WeightStandardization{conv});
  check(SpectralNorm{conv});
  check(WeightNorm{Linear{{.out = 3}}});
}

TEST_CASE("norms of weights as layers: bad options and layers that are not built are refused, by path and line") {
  Context& context = shared_context();
  const auto refused = [&](const auto& layer, const std::string& message) {
    Sequential model = Input{5} >> layer >> Identity{};
    REQUIRE_THROWS_WITH(model.build(context), contains(message) && contains("0 (") && contains("weight_norm_test.cc:"));
  };
  const Linear linear{{.out = 3}};
  refused(WeightNorm{linear, {.feature_axes = 2}}, "WeightNorm: feature_axes names axis 2, x is [5, 3]");
  refused(WeightNorm{linear, {.feature_axes = Axes{0, -2}}}, "WeightNorm: feature_axes names axis -2 twice");
  refused(WeightNorm{linear, {.epsilon = 0}}, "epsilon must be positive");
  refused(WeightStandardization{linear, {.out_axis = -3}}, "axis -3 does not exist in [5, 3]");
  refused(WeightStandardization{linear, {.epsilon = -1}}, "epsilon must be positive");
  refused(SpectralNorm{linear, {.power_iterations = 0}}, "power_iterations must be positive; it is 0");
  refused(SpectralNorm{linear, {.epsilon = 0}}, "epsilon must be positive");
  refused(SpectralNorm{linear, {.out_axis = 2}}, "SpectralNorm: out_axis names axis 2, x is [5, 3]");
  refused(WeightNorm{Linear{{.out = 0}}}, "Linear: out is 0");
  const Var x = context.input(context.zeros({2, 5}));
  REQUIRE_THROWS_AS(WeightNorm{linear}(x), ArgumentError);
  REQUIRE_THROWS_AS(WeightStandardization{linear}(x), ArgumentError);
  REQUIRE_THROWS_AS(SpectralNorm(linear)(x, Mode::train), ArgumentError);
}
