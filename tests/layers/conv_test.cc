#include "layers/conv.h"

#include <cmath>

#include "autodiff/gradcheck.h"
#include "kernels/error.h"
#include "layers/activation.h"
#include "layers/linear.h"
#include "layers/reshape.h"
#include "layers/sequential.h"
#include "tests/catch.h"

using namespace tapestry;

namespace {

// Visits its layers in another order than it calls them.
struct Backwards {
  Flatten flatten{};
  Linear head{{.out = 2, .in = 128}};
  Conv2d conv{{.out = 8, .in = 3, .kernel = 3}};
  void visit(Visitor& v) {
    v("flatten", flatten);
    v("head", head);
    v("conv", conv);
  }
  Var operator()(const Var& x) const { return head(flatten(conv(x))); }
};

}  // namespace

TEST_CASE("Conv: channels and sizes flow through") {
  Context context;
  Sequential model = Input{28, 20, 3} >> Conv2d{{.out = 8, .kernel = 3}} >>
                     Conv2d{{.out = 4, .kernel = {3, 5}, .stride = {2, 1}, .padding = {1, 2}, .bias = false}} >>
                     Conv2d{{.out = 6, .kernel = 4, .padding = Padding::same, .dilation = 2, .groups = 2}} >>
                     ConvTranspose2d{{.out = 2, .kernel = 3, .stride = 2, .padding = 1, .output_padding = 1}};
  const Summary summary = [&] {
    model.build(context);
    return model.layer_summary();
  }();
  CHECK(model.get<Conv2d>(0).weight.shape() == Shape{3, 3, 3, 8});
  CHECK(model.get<Conv2d>(0).bias.shape() == Shape{8});
  CHECK(model.get<Conv2d>(1).weight.shape() == Shape{3, 5, 8, 4});
  CHECK(model.get<Conv2d>(2).weight.shape() == Shape{4, 4, 2, 6});
  CHECK(model.get<ConvTranspose2d>(3).weight.shape() == Shape{3, 3, 2, 6});
  CHECK(model.get<ConvTranspose2d>(3).bias.shape() == Shape{2});
  CHECK(model.parameters().size() == 7);
  REQUIRE(summary.layers.size() == 4);
  CHECK(summary.layers[0].output == Shape{26, 18, 8});
  CHECK(summary.layers[1].output == Shape{13, 18, 4});
  CHECK(summary.layers[2].output == Shape{13, 18, 6});
  CHECK(summary.output == Shape{26, 36, 2});
  CHECK(summary.layers[0].type == "Conv2d");
  CHECK(summary.layers[3].type == "ConvTranspose2d");
  CHECK(summary.layers[0].cost.flops == 26.0 * 18 * 8 * (2 * 27));
  CHECK(summary.layers[1].cost.flops == 13.0 * 18 * 4 * (2 * 120 - 1));
  CHECK(summary.layers[2].cost.flops == 13.0 * 18 * 6 * (2 * 32));
  CHECK(summary.layers[3].cost.flops == 13.0 * 18 * 6 * 2 * 18 + 26.0 * 36 * 2);
  CHECK(summary.layers[0].cost.bytes == 26.0 * 18 * 8 * 4);
  const Var y = model(context.input(context.zeros({2, 28, 20, 3})), Mode::eval);
  CHECK(y.shape() == Shape{2, 26, 36, 2});

  Sequential line = Input{16, 1} >> Conv1d{{.out = 2, .kernel = 3, .stride = 2}} >>
                    ConvTranspose1d{{.out = 3, .kernel = 2, .stride = 2}};
  line.build(context);
  CHECK(line.layer_summary().output == Shape{14, 3});
  CHECK(line(context.input(context.zeros({2, 16, 1})), Mode::eval).shape() == Shape{2, 14, 3});
  Sequential box = Input{4, 5, 6, 1} >> Conv3d{{.out = 2, .kernel = {1, 2, 3}}} >>
                   ConvTranspose3d{{.out = 3, .kernel = {2, 1, 1}, .groups = 1}};
  box.build(context);
  CHECK(box.layer_summary().output == Shape{5, 4, 4, 3});
  CHECK(box(context.input(context.zeros({1, 4, 5, 6, 1})), Mode::eval).shape() == Shape{1, 5, 4, 4, 3});
}

TEST_CASE("Conv: a guessed input that does not fit is no error where the channels are given") {
  Context context;
  Backwards model;
  CHECK(build(context, model, Shape{6, 6, 3}).output == Shape{2});
  CHECK(model.conv.weight.shape() == Shape{3, 3, 3, 8});
  Conv2d unknown{{.out = 2, .in = 3, .kernel = 3}};
  CHECK(!build(context, unknown).output);
  Conv2d undecided{{.out = 2, .kernel = 3}};
  REQUIRE_THROWS_WITH(build(context, undecided), contains("in is not given"));
}

TEST_CASE("Conv: numbers start within 1 / sqrt(fan_in), fan_in = in / groups * taps") {
  Context context;
  Conv2d conv{{.out = 40, .in = 8, .kernel = {3, 2}, .groups = 2}};
  ConvTranspose2d transposed{{.out = 8, .in = 40, .kernel = {3, 2}, .groups = 2}};
  build(context, conv);
  build(context, transposed);
  for (const Tensor& tensor : {conv.weight.value(), conv.bias.value(), transposed.weight.value()}) {
    float most = 0;
    for (const float x : tensor.span<float>()) most = std::max(most, std::abs(x));
    CHECK(most <= 1 / std::sqrt(24.0f));
    CHECK(most > 0.85f / std::sqrt(24.0f));
  }
}

TEST_CASE("Conv: options that cannot be are refused with the layer's path and line when the model is built") {
  Context context;
  const auto fails = [&](auto layer, const char* message, Shape in = {8, 8, 6}) {
    Sequential model;
    model.append(std::move(layer));
    INFO(message);
    REQUIRE_THROWS_WITH(model.build(context, in), contains("0 (conv_test.cc:") && contains(message));
  };
  fails(Conv2d{{.kernel = 3}}, "Conv2d: out is 0, it must be positive");
  fails(Conv2d{{.out = 2}}, "Conv2d: kernel must be in [1, 2147483647]; it is [0, 0]");
  fails(Conv2d{{.out = 2, .in = 5, .kernel = 3}}, "in is 5, but the layer before gives [8, 8, 6]");
  fails(Conv2d{{.out = 2, .kernel = 3, .stride = {1, 0}}}, "stride must be in [1, 2147483647]; it is [1, 0]");
  fails(Conv2d{{.out = 2, .kernel = 3, .padding = -1}}, "padding must be in [0, 2147483647]; it is [-1, -1]");
  fails(Conv2d{{.out = 2, .kernel = 3, .dilation = 0}}, "dilation must be in");
  fails(Conv2d{{.out = 2, .kernel = 3, .groups = 0}}, "groups is 0, it must be positive");
  fails(Conv2d{{.out = 6, .kernel = 3, .groups = 4}}, "6 channels in and 6 out cannot both form 4 equal groups");
  fails(Conv2d{{.out = 2, .kernel = 3, .groups = 3}}, "6 channels in and 2 out cannot both form 3 equal groups");
  fails(Conv2d{{.out = 2, .kernel = 9}}, "the kernel [9, 9] with dilation [1, 1] is larger than the input [8, 8]");
  fails(Conv2d{{.out = 2, .kernel = 3, .stride = 2, .padding = Padding::same}}, "padding `same` needs stride 1");
  fails(Conv2d{{.out = 2, .kernel = 3}}, "x must be [N, H, W, C]; it is [1, 8, 6]", {8, 6});
  fails(ConvTranspose2d{{.kernel = 3}}, "ConvTranspose2d: out is 0");
  fails(ConvTranspose2d{{.out = 4, .kernel = 3, .output_padding = 1}}, "output_padding [1, 1] must be smaller than");
  fails(ConvTranspose2d{{.out = 4, .kernel = 3, .padding = 9}}, "padding [9, 9] leaves nothing of the input [8, 8]");
  fails(ConvTranspose1d{{.out = 4, .kernel = 3}}, "x must be [N, L, C]");
  fails(Conv3d{{.out = 4, .kernel = 3}}, "x must be [N, D, H, W, C]");
  Conv2d unbuilt{{.out = 1, .kernel = 1}};
  REQUIRE_THROWS_WITH(unbuilt(context.input(context.zeros({1, 2, 2, 1}))),
                      contains("Conv2d: the layer is used before"));
}

TEST_CASE("Conv: a model's gradients in double are exact, with activations in and behind the layer") {
  Context context;
  Sequential model = Input{6, 5, 2} >> Conv2d{{.out = 4, .kernel = 3, .padding = Padding::same}} >> Silu{} >>
                     Conv2d{{.out = 4, .kernel = 3, .stride = 2, .groups = 2, .activation = Activation::tanh}} >>
                     ConvTranspose2d{{.out = 3, .kernel = 2, .activation = Activation::sigmoid}} >> Flatten{} >>
                     Linear{{.out = 3}};
  model.build(context, {6, 5, 2}, DType::float64);
  const auto result = gradcheck(context, [&](std::span<const Var> x) { return model(x[0], Mode::train); },
                                {context.uniform({2, 6, 5, 2}, -1, 1, 1, DType::float64)});
  INFO(result.message);
  CHECK(result.passed);
}

TEST_CASE("Conv: a tail means the ops that follow the layer") {
  Context context;
  for (const Activation own : {Activation::none, Activation::relu, Activation::tanh})
    for (const Activation after : {Activation::none, Activation::relu, Activation::silu})
      for (const bool with_residual : {false, true}) {
        Conv2d layer{{.out = 3, .in = 2, .kernel = 3, .padding = 1, .activation = own}};
        build(context, layer);
        const Var x = context.input(context.uniform({2, 5, 4, 2}, -1, 1, 1)),
                  residual = context.input(context.uniform({2, 5, 4, 3}, -1, 1, 2));
        const Tail tail{.activation = after, .residual = with_residual ? residual : Var{}};
        const Var found = layer(x, tail), expected = finish(layer(x), tail);
        REQUIRE(std::ranges::equal(found.value().span<float>(), expected.value().span<float>()));
      }
}
