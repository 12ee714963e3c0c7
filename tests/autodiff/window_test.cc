#include "autodiff/ops/window.h"

#include "kernels/error.h"
#include "tests/catch.h"

using namespace tapestry;

namespace {

struct Options {
  Sizes<2> kernel = 1;
  PaddingSizes<2> padding = Padding::valid;
};

std::int64_t outputs(std::int64_t in, std::int64_t kernel, std::int64_t stride, std::int64_t pad, std::int64_t dilation,
                     bool ceil = false) {
  Window window{.rank = 1,
                .in = {1, 1, in},
                .kernel = {1, 1, kernel},
                .stride = {1, 1, stride},
                .dilation = {1, 1, dilation},
                .before = {0, 0, pad},
                .after = {0, 0, pad}};
  set_output_sizes("op", window, {}, ceil);
  return window.out[2];
}

}  // namespace

TEST_CASE("window: options take one number or one for each axis, and padding a rule") {
  CHECK(Options{.kernel = 3}.kernel == Sizes<2>{3, 3});
  CHECK(Options{.kernel = {3, 5}}.kernel[1] == 5);
  CHECK(Options{.padding = {1, 2}}.padding.sizes == Sizes<2>{1, 2});
  CHECK(Options{.padding = Padding::same}.padding.same);
  CHECK(Options{}.padding == Options{.padding = 0}.padding);
  CHECK(spatial(Sizes<2>{3, 5}, 1) == Window::Axes{1, 3, 5});
}

TEST_CASE("window: output sizes are PyTorch's") {
  CHECK(outputs(7, 3, 2, 0, 1) == 3);
  CHECK(outputs(8, 3, 2, 0, 1) == 3);
  CHECK(outputs(8, 3, 2, 0, 1, true) == 4);
  CHECK(outputs(8, 2, 5, 0, 1) == 2);
  CHECK(outputs(8, 3, 1, 2, 3) == 6);
  CHECK(outputs(5, 1, 3, 1, 1, true) == 2);  // the third window would start in the padding behind
  CHECK(outputs(5, 2, 6, 1, 1, true) == 1);  // the second window would start behind the input
  CHECK(outputs(0, 3, 1, 2, 1) == 2);
}

TEST_CASE("window: numbers out of range are refused by name") {
  REQUIRE_THROWS_WITH(outputs(5, 0, 1, 0, 1), contains("op: kernel must be in [1, 2147483647]; it is [0]"));
  REQUIRE_THROWS_WITH(outputs(5, 1, 0, 0, 1), contains("stride must be in [1, 2147483647]; it is [0]"));
  REQUIRE_THROWS_WITH(outputs(5, 1, std::int64_t{1} << 32, 0, 1), contains("stride must be"));
  REQUIRE_THROWS_WITH(outputs(5, 1, 1, -1, 1), contains("padding must be in [0, 2147483647]; it is [-1]"));
  REQUIRE_THROWS_WITH(outputs(5, 1, 1, std::int64_t{1} << 31, 1), contains("padding must be"));
  REQUIRE_THROWS_WITH(outputs(5, 1, 1, 0, 0), contains("dilation must be"));
  REQUIRE_THROWS_AS(outputs(5, 1, 1, 0, -1), ArgumentError);
  REQUIRE_THROWS_WITH(
      outputs(5, 4, 1, 1, 3),
      contains("the kernel [4] with dilation [3] is larger than the input [5] with padding [1] before"));
  REQUIRE_THROWS_AS(outputs(5, 6, 1, 0, 1), ShapeError);
  REQUIRE_THROWS_AS(outputs(5, 2147483647, 1, 0, 2147483647), ShapeError);
  REQUIRE_THROWS_WITH(spatial_sizes("op", 2, Shape{3, 4, 5}, {}), contains("x must be [N, H, W, C]; it is [3, 4, 5]"));
  Window strided{.rank = 2, .stride = {1, 1, 2}};
  REQUIRE_THROWS_WITH(pad_same("op", strided, {}), contains("padding `same` needs stride 1; stride is [1, 2]"));
  const Window large{.rank = 2, .out = {1, 1 << 30, 1 << 30}};
  REQUIRE_THROWS_WITH(output_shape("op", Shape{1, 2, 2, 3}, large, 8, {}),
                      contains("op: the output would be [1073741"));
}
