#include "layers/pool.h"

#include "kernels/error.h"
#include "layers/linear.h"
#include "layers/resize.h"
#include "layers/sequential.h"
#include "tests/catch.h"

using namespace tapestry;

TEST_CASE("pooling layers: one number or all options, and copies of both") {
  const MaxPool2d plain{2}, full{{.kernel = 3, .stride = 2, .padding = 1}}, copy{plain}, same = full;
  CHECK(plain.options.kernel == Sizes<2>{2, 2});
  CHECK(plain.options.stride == Sizes<2>{0, 0});
  CHECK(full.options.padding == Sizes<2>{1, 1});
  CHECK(copy.options.kernel == Sizes<2>{2, 2});
  CHECK(same.options.stride == Sizes<2>{2, 2});
  CHECK(AvgPool3d(3).options.kernel == Sizes<3>{3, 3, 3});
  CHECK(MaxPool2d({3, 2}, {}).options.kernel == Sizes<2>{3, 2});
  CHECK(AdaptiveMaxPool2d(1).options.output_size == Sizes<2>{1, 1});
  CHECK(AdaptiveAvgPool3d{{.output_size = {1, 2, 3}}}.options.output_size == Sizes<3>{1, 2, 3});
}

TEST_CASE("pooling, Upsample and Pad: sizes flow through a model, and are those of its output") {
  Context context;
  Sequential model = Input{13, 12, 3} >> MaxPool2d{2} >> AvgPool2d{{.kernel = 3, .stride = 1, .padding = 1}} >>
                     Upsample{2} >> Pad{{.before = {1, 0}, .after = 2, .mode = PadMode::reflect}} >>
                     AdaptiveMaxPool2d(4) >> AdaptiveAvgPool2d(2) >> Pad{1} >> GlobalAvgPool{} >> Linear{{.out = 5}};
  model.build(context);
  const std::vector<LayerSummary>& layers = model.layer_summary().layers;
  const Shape expected[] = {{6, 6, 3}, {6, 6, 3}, {12, 12, 3}, {15, 14, 3}, {4, 4, 3}, {2, 2, 3}, {4, 4, 3}, {3}, {5}};
  REQUIRE(layers.size() == std::size(expected));
  Var x = context.input(context.zeros({2, 13, 12, 3}));
  for (std::size_t i = 0; i < layers.size(); ++i) {
    INFO("layer " << i << " " << layers[i].type);
    CHECK(layers[i].output == expected[i]);
    x = model[i](x, Mode::eval);
    CHECK(x.shape() == expected[i].prepend(2));
  }
  CHECK(layers[0].type == "MaxPool2d");
  CHECK(layers[0].cost.flops == 6 * 6 * 3 * 4);
  CHECK(layers[0].cost.bytes == 6 * 6 * 3 * 4);
  CHECK(layers[7].cost.flops == 4 * 4 * 3);

  Sequential volumes = Input{4, 6, 8, 2} >> MaxPool3d{2} >> Upsample{{.size = {2, 5, 4}}} >> AdaptiveAvgPool3d(1) >>
                       GlobalMaxPool{{.keepdim = true}};
  volumes.build(context);
  CHECK(volumes.layer_summary().layers[1].output == Shape{2, 5, 4, 2});
  CHECK(volumes.layer_summary().output == Shape{1, 1, 1, 2});
  Sequential lines = Input{9, 2} >> MaxPool1d{2} >> AvgPool1d{2} >> AdaptiveMaxPool1d(4) >> GlobalMaxPool{};
  lines.build(context);
  CHECK(lines.layer_summary().output == Shape{2});
}

TEST_CASE("pooling, Upsample and Pad: errors of building and of running name the layer and the user's line") {
  Context context;
  const auto refused = [&](const Shape& shape, auto layer, const char* rule) {
    Sequential model = Input(shape) >> layer;
    REQUIRE_THROWS_WITH(model.build(context), contains("0 (pool_test.cc:") && contains(rule));
    REQUIRE_THROWS_AS(layer(context.input(context.zeros(shape.prepend(1)))), Error);
    REQUIRE_THROWS_AS(layer(Var{}), ArgumentError);
  };
  refused({1, 1, 3}, MaxPool2d{2}, "max_pool2d: the kernel [2, 2]");
  refused({8, 3}, AvgPool2d{2}, "avg_pool2d: x must be [N, H, W, C]; it is [1, 8, 3]");
  refused({8, 8, 3}, MaxPool2d{{.kernel = 2, .padding = 2}}, "max_pool2d: padding 2 is more than half of kernel 2");
  refused({0, 8, 3}, AdaptiveMaxPool2d(1), "adaptive_max_pool2d: x [1, 0, 8, 3] needs 1 to");
  refused({8}, GlobalAvgPool{}, "global_avg_pool: x must be [N, ..., C]; it is [1, 8]");
  refused({8, 3}, Upsample{0.01}, "interpolate: scale_factor 0.01 of 8 positions leaves no size");
  refused({8, 8, 3}, Upsample{{.size = {1, 2, 3}}}, "interpolate: needs one number");
  refused({8, 3}, Pad{-1}, "pad: width -1 of axis 1 is out of range");
  refused({8, 3}, Pad{{.before = {1, 2}}}, "Pad: needs one width, or one for each spatial axis of [1, 8, 3]; got 2");
  refused({2, 3}, Pad{{.before = 2, .mode = PadMode::reflect}}, "is too short to be repeated 2 times");
}
