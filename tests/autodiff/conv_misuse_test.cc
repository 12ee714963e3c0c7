// What convolutions refuse: each rule with its type, its words and the line that broke it, before anything is computed.
#include "autodiff/ops/conv.h"
#include "kernels/error.h"
#include "tests/catch.h"

using namespace tapestry;

namespace {

struct Inputs {
  Context context{{.threads = 1}};
  Var operator()(const Shape& shape, DType dtype = DType::float32) const {
    return context.input(context.zeros(shape, dtype));
  }
};

}  // namespace

TEST_CASE("conv: shapes that do not fit are refused") {
  const Inputs in;
  const Var x = in({2, 5, 5, 6}), w = in({3, 3, 6, 4});
  REQUIRE_THROWS_WITH(conv2d(in({2, 5, 6}), w),
                      contains("conv_misuse_test.cc:") && contains("conv2d: x must be [N, H, W, C]; it is [2, 5, 6]"));
  REQUIRE_THROWS_AS(conv1d(x, w), ShapeError);
  REQUIRE_THROWS_WITH(conv3d(x, w), contains("conv3d: x must be [N, D, H, W, C]"));
  REQUIRE_THROWS_WITH(conv2d(x, in({3, 6, 4})), contains("weight must be [kernel, C/groups, O]; it is [3, 6, 4]"));
  REQUIRE_THROWS_WITH(conv2d(x, in({3, 3, 5, 4})), contains("for 6 channels in 1 groups; it is [3, 3, 5, 4]"));
  REQUIRE_THROWS_AS(conv2d(x, in({3, 3, 5, 4})), ShapeError);
  REQUIRE_THROWS_WITH(conv2d(x, in({3, 3, 3, 5}), {}, {.groups = 2}), contains("O divisible by groups"));
  REQUIRE_THROWS_WITH(conv2d(x, w, {}, {.groups = 4}),
                      contains("6 channels cannot form 4 equal groups; x is [2, 5, 5"));
  REQUIRE_THROWS_AS(conv2d(x, w, {}, {.groups = 4}), ShapeError);
  REQUIRE_THROWS_AS(conv2d(x, in({3, 3, 6, 0})), ShapeError);
  REQUIRE_THROWS_AS(conv2d(in({2, 5, 5, 0}), in({3, 3, 0, 4})), ShapeError);
  REQUIRE_THROWS_WITH(conv2d(x, w, in({5})), contains("bias must be [4]; it is [5]"));
  REQUIRE_THROWS_AS(conv2d(x, w, in({1, 4})), ShapeError);
  REQUIRE_THROWS_WITH(conv2d(x, in({3, 6, 6, 4})),
                      contains("the kernel [3, 6] with dilation [1, 1] is larger than the input [5, 5] with padding"));
  REQUIRE_THROWS_AS(conv2d(x, w, {}, {.dilation = {1, 3}}), ShapeError);
  REQUIRE_THROWS_AS(conv2d(in({2, 0, 5, 6}), w), ShapeError);
  REQUIRE_THROWS_WITH(conv2d(x, w, {}, {.padding = 2147483647}), contains("conv2d: the output would be"));
  REQUIRE_THROWS_AS(conv2d(x, w, {}, {.padding = 2147483647}), ShapeError);
}

TEST_CASE("conv: numbers out of range are refused by name") {
  const Inputs in;
  const Var x = in({2, 5, 5, 6}), w = in({3, 3, 6, 4});
  const auto refused = [&](const ConvOptions<2>& options, const char* message) {
    REQUIRE_THROWS_AS(conv2d(x, w, {}, options), ArgumentError);
    REQUIRE_THROWS_WITH(conv2d(x, w, {}, options), contains("conv_misuse_test.cc:") && contains(message));
  };
  refused({.stride = 0}, "conv2d: stride must be in [1, 2147483647]; it is [0, 0]");
  refused({.stride = {1, -1}}, "stride must be in [1, 2147483647]; it is [1, -1]");
  refused({.stride = std::int64_t{1} << 32}, "stride must be");
  refused({.padding = {0, -1}}, "padding must be in [0, 2147483647]; it is [0, -1]");
  refused({.padding = std::int64_t{1} << 31}, "padding must be");
  refused({.stride = {2, 1}, .padding = Padding::same}, "padding `same` needs stride 1; stride is [2, 1]");
  refused({.padding = Padding::same, .dilation = 0}, "dilation must be");
  refused({.dilation = {0, 1}}, "dilation must be in [1, 2147483647]; it is [0, 1]");
  refused({.groups = 0}, "groups must be at least 1; it is 0");
  refused({.groups = -2}, "groups must be at least 1; it is -2");
  REQUIRE_THROWS_WITH(conv2d(x, in({0, 3, 6, 4})), contains("kernel must be in [1, 2147483647]; it is [0, 3]"));
}

TEST_CASE("conv: types that differ, and inputs that hold nothing, are refused") {
  const Inputs in;
  const Var x = in({2, 5, 6}), w = in({3, 6, 4});
  REQUIRE_THROWS_AS(conv1d(in({2, 5, 6}, DType::float64), w), ArgumentError);
  REQUIRE_THROWS_WITH(conv1d(in({2, 5, 6}, DType::float64), w), contains("x is float64, weight is float32"));
  REQUIRE_THROWS_WITH(conv1d(x, w, in({4}, DType::float64)), contains("bias is float64"));
  REQUIRE_THROWS_AS(conv1d(in({2, 5, 6}, DType::int64), in({3, 6, 4}, DType::int64)), ArgumentError);
  REQUIRE_THROWS_WITH(conv1d({}, w), contains("conv1d: the input holds nothing"));
  REQUIRE_THROWS_AS(conv1d(x, {}), ArgumentError);
  REQUIRE_THROWS_AS(conv_transpose1d({}, {}), ArgumentError);
}

TEST_CASE("conv_transpose: what does not fit is refused") {
  const Inputs in;
  const Var x = in({2, 5, 5, 6}), w = in({3, 3, 2, 6});
  REQUIRE_THROWS_WITH(
      conv_transpose2d(x, in({3, 3, 6, 2})),
      contains("conv_transpose2d: weight must be [kernel, O/groups, I] with I = 6; it is [3, 3, 6, 2]"));
  REQUIRE_THROWS_AS(conv_transpose2d(x, in({3, 3, 6, 2})), ShapeError);
  REQUIRE_THROWS_AS(conv_transpose2d(x, in({3, 3, 0, 6})), ShapeError);
  REQUIRE_THROWS_WITH(conv_transpose2d(x, w, {}, {.groups = 5}), contains("6 channels cannot form 5 equal groups"));
  REQUIRE_THROWS_WITH(conv_transpose2d(x, w, in({2}), {.groups = 2}), contains("bias must be [4]; it is [2]"));
  REQUIRE_THROWS_WITH(conv_transpose2d(x, w, {}, {.padding = 4}),
                      contains("padding [4, 4] leaves nothing of the input [5, 5] with the kernel [3, 3]"));
  REQUIRE_THROWS_AS(conv_transpose2d(x, w, {}, {.padding = 4}), ShapeError);
  REQUIRE_THROWS_WITH(conv_transpose2d(x, w, {}, {.stride = {2, 3}, .output_padding = {1, 3}}),
                      contains("output_padding [1, 3] must be smaller than stride [2, 3] or dilation [1, 1]"));
  REQUIRE_THROWS_AS(conv_transpose2d(x, w, {}, {.output_padding = 1}), ArgumentError);
  REQUIRE_NOTHROW(conv_transpose2d(x, w, {}, {.output_padding = 1, .dilation = 2}));
  REQUIRE_THROWS_WITH(conv_transpose2d(x, w, {}, {.stride = 2, .output_padding = -1}), contains("output_padding must"));
  REQUIRE_THROWS_WITH(conv_transpose2d(x, w, {}, {.stride = 0}), contains("stride must be"));
  REQUIRE_THROWS_WITH(conv_transpose2d(x, w, {}, {.padding = {0, -1}}),
                      contains("padding must be in [0, 2147483647]; it is [0, -1]"));
  REQUIRE_THROWS_AS(conv_transpose2d(in({2, 0, 5, 6}), w), Error);
  REQUIRE_THROWS_AS(conv_transpose2d(x, w, {}, {.stride = 2147483647}), ShapeError);
}
