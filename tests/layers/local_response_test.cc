#include "layers/local_response.h"

#include "autodiff/tape.h"
#include "kernels/error.h"
#include "layers/conv.h"
#include "layers/dialects/neupy.h"
#include "layers/sequential.h"
#include "tests/catch.h"

using namespace tapestry;

TEST_CASE("LocalResponseNorm: neupy's preset on ones, and its checks") {
  Context context{{.threads = 1}};
  const auto layer = neupy::local_response_norm();
  REQUIRE(layer(context.input(context.full({1, 1, 1, 1}, 1))).item() == Approx(0.59458).margin(5e-6));
  REQUIRE(layer.options.size == 11);
  REQUIRE_THROWS_AS(neupy::local_response_norm({.depth_radius = 4}), ArgumentError);
  REQUIRE_THROWS_WITH(neupy::local_response_norm({.depth_radius = 4}), contains("Only works with odd"));
  REQUIRE_THROWS_WITH(neupy::local_response_norm({.depth_radius = -1}), contains("it is -1"));
  REQUIRE_THROWS_WITH(layer(context.input(context.zeros({1, 2, 3}))),
                      contains("inputs must have 4 axes; x is [1, 2, 3]"));
  Sequential flat = Input{2, 3} >> neupy::local_response_norm();
  REQUIRE_THROWS_WITH(flat.build(context), contains("0 (") && contains("inputs must have 4 axes; x is [1, 2, 3]"));
}

TEST_CASE("LocalResponseNorm: in a chain it keeps the shape, has no state, and is the op with its options") {
  Context context{{.threads = 1, .seed = 3}};
  Sequential model = Input{6, 5, 2} >> Conv2d{{.out = 9, .kernel = 3}} >>
                     LocalResponseNorm{{.size = 4, .alpha = 0.3, .beta = 0.6, .k = 1.2}};
  model.build(context);
  REQUIRE(model.parameters().size() == 2);
  REQUIRE(model.layer_summary().output == Shape{4, 3, 9});
  const Var x = context.input(context.normal({3, 6, 5, 2}, 0, 1, 7));
  const Tensor y = model(x, Mode::eval).value();
  const Tensor expected =
      local_response_norm(model.get<Conv2d>(0)(x), {.size = 4, .alpha = 0.3, .beta = 0.6, .k = 1.2}).value();
  REQUIRE(std::ranges::equal(y.span<float>(), expected.span<float>()));
}

TEST_CASE(
    "LocalResponseNorm: bad options are found when the model is built, inputs without channels when it is called") {
  Context context{{.threads = 1}};
  const auto built = [&](LocalResponseNorm::Options options) {
    Sequential model = Input{4, 4, 3} >> LocalResponseNorm{std::move(options)};
    model.build(context);
  };
  REQUIRE_THROWS_WITH(built({}), contains("size must be positive; it is 0"));
  REQUIRE_THROWS_WITH(built({.size = 5, .k = -1}), contains("k must be positive"));
  REQUIRE_THROWS_WITH(built({.size = 5, .alpha = -1}), contains("local_response_test.cc:"));
  REQUIRE_NOTHROW(built({.size = 5}));
  REQUIRE_THROWS_WITH(LocalResponseNorm{{.size = 5}}(context.input(context.zeros({3}))),
                      contains("inputs must have 2 axes or more; x is [3]"));
}
