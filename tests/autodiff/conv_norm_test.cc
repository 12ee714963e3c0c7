#include <algorithm>
#include <cmath>
#include <string>

#include "autodiff/context.h"
#include "autodiff/ops/conv.h"
#include "autodiff/ops/elementwise.h"
#include "autodiff/ops/norm.h"
#include "autodiff/ops/reduce.h"
#include "tests/catch.h"
#include "tests/support/ops.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

using Kind = ImageNorm::Kind;

struct Case {
  std::int64_t batch, side, channels, outputs, groups;
  Kind kind = Kind::group;
  std::int64_t stride = 1;
  bool affine = true, bias = true, residual = false;
  Activation activation = Activation::none;
};

// x, weight, and what the case has of bias, the norm's weight and bias, and the residual.
struct Operands {
  Operands(const Case& c, std::span<const Var> v) : x(v[0]), weight(v[1]) {
    std::size_t at = 2;
    if (c.bias) bias = v[at++];
    norm = {.kind = c.kind, .num_groups = c.groups};
    if (c.affine) {
      norm.weight = v[at++];
      norm.bias = v[at++];
    }
    if (c.residual) norm.residual = v[at];
  }
  Var x, weight, bias;
  ImageNorm norm;
};

Var chained(const Case& c, std::span<const Var> v) {
  const Operands o(c, v);
  return conv2d(o.x, o.weight, o.bias, {.stride = c.stride, .padding = 1, .activation = c.activation, .norm = &o.norm});
}

// The same as the two ops that it stands for.
Var apart(const Case& c, std::span<const Var> v) {
  const auto [x, weight, bias, norm] = Operands(c, v);
  const Var z = conv2d(x, weight, bias, {.stride = c.stride, .padding = 1});
  if (c.kind == Kind::layer)
    return layer_norm(z, norm.weight, norm.bias, {.activation = c.activation, .residual = norm.residual});
  return group_norm(z, norm.weight, norm.bias,
                    {.num_groups = c.groups, .activation = c.activation, .residual = norm.residual});
}

std::vector<Shape> shapes(const Case& c) {
  const std::int64_t out = (c.side - 1) / c.stride + 1;
  std::vector<Shape> all{{c.batch, c.side, c.side, c.channels}, {3, 3, c.channels, c.outputs}};
  if (c.bias) all.push_back({c.outputs});
  if (c.affine) all.insert(all.end(), 2, {c.outputs});
  if (c.residual) all.push_back({c.batch, out, out, c.outputs});
  return all;
}

struct Results {
  Tensor y;
  std::vector<Tensor> gradients;
};

template <class Op>
Results results_of(const Case& c, int threads, DType dtype, const Op& op) {
  Context context{{.threads = threads}};
  Tape tape{context};
  std::vector<Var> inputs;
  std::uint64_t seed = 1;
  for (const Shape& shape : shapes(c)) inputs.push_back(tape.variable(context.normal(shape, 0.3, 1, seed++).to(dtype)));
  const Var y = op(c, std::span<const Var>(inputs));
  const Tensor dy = context.normal(y.shape(), 0, 1, seed).to(dtype);
  const Gradients gradients = tape.backward(sum(y * tape.input(dy)));
  Results results{.y = y.value(), .gradients = {}};
  for (const Var& input : inputs) results.gradients.push_back(gradients[input]);
  return results;
}

// To `tolerance` of the largest number.
void require_close(const Tensor& a, const Tensor& b, double tolerance) {
  REQUIRE(a.shape() == b.shape());
  visit_floating("test", a.dtype(), [&]<class T>(T) {
    double largest = 0, worst = 0;
    for (std::size_t i = 0; i < a.span<T>().size(); ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(b.span<T>()[i])));
      worst = std::max(worst, std::abs(static_cast<double>(a.span<T>()[i] - b.span<T>()[i])));
    }
    REQUIRE(worst <= tolerance * largest);
  });
}

}  // namespace

TEST_CASE("conv and norm by image: gradients agree with differences") {
  const Case cases[] = {
      {2, 5, 2, 4, 2},
      {2, 5, 3, 6, 3, Kind::group, 2},
      {1, 4, 1, 4, 4, Kind::group, 1, false, false},
      {3, 6, 2, 3, 3, Kind::group, 1, true, false, true},
      {2, 5, 2, 4, 1, Kind::group, 1, false, false},
      {2, 5, 2, 4, 2, Kind::group, 1, true, true, true},
      {2, 5, 2, 4, 2, Kind::group, 1, true, true, false, Activation::silu},
      {2, 5, 2, 5, 0, Kind::layer},
      {2, 5, 3, 6, 0, Kind::layer, 2},
      {1, 4, 1, 4, 0, Kind::layer, 1, false},
      {3, 6, 2, 7, 0, Kind::layer, 1, true, false, true},
      {2, 5, 2, 8, 0, Kind::layer, 1, true, true, true, Activation::tanh},
      {9, 3, 1, 4, 2},
  };
  for (const Case& c : cases)
    check_op([&](std::span<const Var> v) { return chained(c, v); }, shapes(c), {.tolerance = 2e-5});
}

TEST_CASE("conv and norm by image: values and gradients are those of the two ops") {
  const Case cases[] = {
      {9, 24, 16, 32, 4, Kind::group, 1, true, true, false, Activation::relu},
      {9, 24, 16, 32, 32, Kind::group, 1, true, false, true, Activation::relu},
      {16, 40, 3, 64, 8, Kind::group, 2, true, true, false, Activation::relu},
      {8, 23, 5, 33, 3, Kind::group, 1, false, false},
      {9, 24, 32, 32, 4, Kind::group, 1, true, true, true, Activation::relu},
      {8, 26, 33, 40, 0, Kind::layer, 1, true, true, false, Activation::relu},
      {9, 24, 16, 48, 0, Kind::layer, 1, true, true, true, Activation::relu},
      {8, 24, 8, 32, 0, Kind::layer, 1, false, false, false, Activation::gelu},
      {3, 6, 4, 8, 2, Kind::group, 1, true, true, true, Activation::relu},
  };
  for (const Case& c : cases)
    for (const auto& [dtype, tolerance] : {std::pair{DType::float32, 1e-5}, {DType::float64, 1e-12}}) {
      INFO(c.batch << " images of " << c.side << ", " << c.channels << " to " << c.outputs << " channels");
      const Results one = results_of(c, 2, dtype, chained), two = results_of(c, 2, dtype, apart);
      require_close(one.y, two.y, tolerance);
      for (std::size_t i = 0; i < one.gradients.size(); ++i) {
        INFO("input " << i);
        // A bias before a norm that takes its mean away has a gradient of rounding errors alone.
        if (!(i == 2 && c.bias && c.groups == c.outputs)) require_close(one.gradients[i], two.gradients[i], tolerance);
      }
    }
}

TEST_CASE("conv and norm by image: the same bits at any number of threads") {
  for (const Case& c : {Case{9, 24, 16, 32, 4, Kind::group, 1, true, true, true, Activation::relu},
                        Case{9, 24, 32, 32, 4, Kind::group, 1, true, true, true, Activation::relu},
                        Case{9, 24, 32, 48, 0, Kind::layer, 1, true, true, false, Activation::relu}}) {
    const Results one = results_of(c, 1, DType::float32, chained);
    for (int threads : {2, 3, 7}) {
      const Results some = results_of(c, threads, DType::float32, chained);
      REQUIRE(std::ranges::equal(one.y.span<float>(), some.y.span<float>()));
      for (std::size_t i = 0; i < one.gradients.size(); ++i)
        REQUIRE(std::ranges::equal(one.gradients[i].span<float>(), some.gradients[i].span<float>()));
    }
  }
}

TEST_CASE("conv and norm by image: one node, and an empty batch") {
  std::vector<std::string> ops;
  Context context{{.threads = 1, .trace = [&](const TraceEvent& event) { ops.emplace_back(event.op); }}};
  const ImageNorm norm{.num_groups = 2};
  const Var w = context.input(context.normal({3, 3, 2, 4}, 0, 1, 1));
  Tape tape{context};
  const Var x = tape.variable(context.zeros({0, 5, 5, 2}));
  const Var y = conv2d(x, w, {}, {.padding = 1, .norm = &norm});
  REQUIRE(y.shape() == Shape{0, 5, 5, 4});
  REQUIRE(ops == std::vector<std::string>{"conv2d_norm"});
  REQUIRE(tape.backward(sum(y))[x].shape() == x.shape());
}

TEST_CASE("conv and norm by image: ops of their own where nothing is fused") {
  std::vector<std::string> ops;
  Context context{{.threads = 1, .trace = [&](const TraceEvent& event) { ops.emplace_back(event.op); }, .fuse = false}};
  const ImageNorm norm{.num_groups = 2};
  Tape tape{context};
  const Var x = tape.variable(context.zeros({2, 5, 5, 2}));
  conv2d(x, context.input(context.normal({3, 3, 2, 4}, 0, 1, 1)), {}, {.activation = Activation::relu, .norm = &norm});
  REQUIRE(ops == std::vector<std::string>{"conv2d", "group_norm", "relu"});
}

TEST_CASE("conv and norm by image: a norm that does not fit is refused") {
  const Context context{{.threads = 1}};
  const auto in = [&](const Shape& shape, DType dtype = DType::float32) {
    return context.input(context.zeros(shape, dtype));
  };
  const Var x = in({2, 5, 5, 2}), w = in({3, 3, 2, 6});
  const auto call = [&](const ImageNorm& norm) { return conv2d(x, w, {}, {.norm = &norm}); };
  REQUIRE_THROWS_WITH(
      call({.num_groups = 4}),
      contains("conv_norm_test.cc:") && contains("conv2d: 6 channels cannot form 4 equal groups; x is [2, 3, 3, 6]"));
  REQUIRE_THROWS_AS(call({.num_groups = 4}), ShapeError);
  REQUIRE_THROWS_WITH(call({.num_groups = 2, .epsilon = 0}), contains("epsilon must be positive and finite; it is 0"));
  REQUIRE_THROWS_WITH(call({.num_groups = 2, .weight = in({5})}), contains("the norm's weight must be [6]"));
  REQUIRE_THROWS_WITH(call({.num_groups = 2, .bias = in({1, 6})}), contains("the norm's bias must be [6]"));
  REQUIRE_THROWS_WITH(call({.num_groups = 2, .residual = in({2, 5, 5, 6})}), contains("residual must be [2, 3, 3, 6]"));
  REQUIRE_THROWS_AS(call({.num_groups = 2, .weight = in({6}, DType::float64)}), ArgumentError);
}
