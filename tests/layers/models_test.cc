#include "layers/models.h"

#include <fmt/format.h>

#include <cmath>
#include <map>

#include "autodiff/ops/activation.h"
#include "autodiff/ops/conv.h"
#include "autodiff/ops/elementwise.h"
#include "autodiff/ops/norm.h"
#include "kernels/error.h"
#include "tests/catch.h"

using namespace tapestry;

TEST_CASE("models: all seven have PyTorch's parameters, and ten outputs") {
  const std::map<std::string, std::int64_t> counts{
      {"mlp", 203'530},          {"mlp_ln", 671'754},       {"neupy_gn", 94'714},  {"mnist_bn", 87'850},
      {"resnet9_bn", 2'440'266}, {"resnet9_gn", 2'440'266}, {"voxel_bn3d", 70'426}};
  Context context{{.threads = 2}};
  std::map<std::string, std::int64_t> found;
  for (const std::string_view name : model_names()) {
    NamedModel named = make_model(name);
    named.model.build(context);
    found[std::string(name)] = parameter_count(named.model);
    INFO(name);
    REQUIRE(named.model.layer_summary().output == Shape{10});
    REQUIRE(named.batch > 0);
    const Var y = named.model(context.input(context.zeros(named.input.prepend(2))), Mode::eval);
    REQUIRE(y.shape() == Shape{2, 10});
  }
  REQUIRE(found == counts);
  REQUIRE_THROWS_WITH(make_model("vgg"), contains("unknown model 'vgg'; there are mlp, mlp_ln, neupy_gn"));
}

TEST_CASE("models: neupy's example has the sizes of its documentation") {
  Context context{{.threads = 1}};
  NamedModel named = make_model("neupy_gn");
  named.model.build(context);
  std::vector<Shape> shapes;
  for (const LayerSummary& layer : named.model.layer_summary().layers) shapes.push_back(layer.output.value());
  const Shape first{26, 26, 16}, second{24, 24, 16};
  REQUIRE(shapes == std::vector<Shape>{first, first, first, second, second, second, {9216}, {10}});
  REQUIRE(parameter_count(named.model) == 94'714);
}

TEST_CASE("models: a residual block has the names of PyTorch's side") {
  Context context{{.threads = 1}};
  NamedModel named = make_model("resnet9_bn");
  named.model.build(context);
  std::vector<std::string> names;
  for (const StateEntry& entry : named.model.state())
    if (entry.name.starts_with("7.") && !entry.is_buffer) names.push_back(entry.name);
  REQUIRE(names ==
          std::vector<std::string>{"7.a.weight", "7.n.weight", "7.n.bias", "7.b.weight", "7.m.weight", "7.m.bias"});
}

TEST_CASE("models: a residual block computes relu(x + m(b(relu(n(a(x))))))") {
  Context context{{.threads = 2}};
  NamedModel named = make_model("resnet9_gn");
  named.model.build(context);
  std::map<std::string, Tensor> state;
  for (const StateEntry& entry : named.model.state()) state[entry.name] = entry.value();
  const Var x = context.input(context.uniform({2, 4, 4, 128}, -1, 1, 1));
  const auto convolved = [&](const char* name, const Var& in) {
    return conv2d(in, context.input(state.at(fmt::format("7.{}.weight", name))), {}, {.padding = 1});
  };
  const auto normalized = [&](const char* name, const Var& in) {
    return group_norm(in, context.input(state.at(fmt::format("7.{}.weight", name))),
                      context.input(state.at(fmt::format("7.{}.bias", name))), {.num_groups = 32});
  };
  const Var y = relu(x + normalized("m", convolved("b", relu(normalized("n", convolved("a", x))))));
  const Var found = named.model[7](x, Mode::train);
  REQUIRE(found.shape() == y.shape());
  for (std::size_t i = 0; i < static_cast<std::size_t>(y.shape().size()); ++i)
    REQUIRE(std::abs(found.value().span<float>()[i] - y.value().span<float>()[i]) < 1e-5);
}
