#include "autodiff/ops/conv.h"

#include "autodiff/ops/elementwise.h"
#include "autodiff/ops/reduce.h"
#include "tests/catch.h"
#include "tests/support/ops.h"
#include "tests/support/pointwise_cases.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

struct Case {
  std::vector<std::int64_t> in, kernel, stride, pad, dilation;
  std::int64_t batch = 2, channels = 2, outputs = 3, groups = 1;
};

Shape shape_of(std::int64_t first, const std::vector<std::int64_t>& middle, std::int64_t last) {
  std::vector<std::int64_t> sizes{first};
  sizes.insert(sizes.end(), middle.begin(), middle.end());
  sizes.push_back(last);
  return Shape(std::span<const std::int64_t>(sizes));
}

Shape weight_shape(const std::vector<std::int64_t>& kernel, std::int64_t inner, std::int64_t outer) {
  std::vector<std::int64_t> sizes = kernel;
  sizes.insert(sizes.end(), {inner, outer});
  return Shape(std::span<const std::int64_t>(sizes));
}

template <int Axes>
Sizes<Axes> sizes_of(const std::vector<std::int64_t>& values) {
  Sizes<Axes> sizes = 1;
  std::copy_n(values.begin(), Axes, sizes.values.begin());
  return sizes;
}

template <int Axes>
ConvOptions<Axes> options_of(const Case& c) {
  ConvOptions<Axes> options{
      .stride = sizes_of<Axes>(c.stride), .dilation = sizes_of<Axes>(c.dilation), .groups = c.groups};
  options.padding.sizes = sizes_of<Axes>(c.pad);
  return options;
}

Var call(const Var& x, const Var& w, const Var& b, const ConvOptions<1>& options) { return conv1d(x, w, b, options); }
Var call(const Var& x, const Var& w, const Var& b, const ConvOptions<2>& options) { return conv2d(x, w, b, options); }
Var call(const Var& x, const Var& w, const Var& b, const ConvOptions<3>& options) { return conv3d(x, w, b, options); }
Var call(const Var& x, const Var& w, const Var& b, const ConvTransposeOptions<1>& options) {
  return conv_transpose1d(x, w, b, options);
}
Var call(const Var& x, const Var& w, const Var& b, const ConvTransposeOptions<2>& options) {
  return conv_transpose2d(x, w, b, options);
}
Var call(const Var& x, const Var& w, const Var& b, const ConvTransposeOptions<3>& options) {
  return conv_transpose3d(x, w, b, options);
}

// The op with and without bias.
template <class Options>
void check(const Shape& x, const Shape& weight, std::int64_t outputs, const Options& options) {
  check_op([&](std::span<const Var> v) { return call(v[0], v[1], {}, options); }, {x, weight});
  check_op([&](std::span<const Var> v) { return call(v[0], v[1], v[2], options); }, {x, weight, {outputs}});
}

template <int Axes>
void check_conv(const std::vector<Case>& cases) {
  REQUIRE(cases.size() >= 12);
  for (const Case& c : cases)
    check(shape_of(c.batch, c.in, c.channels), weight_shape(c.kernel, c.channels / c.groups, c.outputs), c.outputs,
          options_of<Axes>(c));
}

// The same problems turned round: what was the output of the convolution is the input.
template <int Axes>
void check_transpose(const std::vector<Case>& cases, std::int64_t output_padding) {
  REQUIRE(cases.size() >= 12);
  for (const Case& c : cases) {
    ConvTransposeOptions<Axes> options{.stride = sizes_of<Axes>(c.stride),
                                       .padding = sizes_of<Axes>(c.pad),
                                       .dilation = sizes_of<Axes>(c.dilation),
                                       .groups = c.groups};
    for (std::size_t axis = 0; axis < Axes; ++axis)
      options.output_padding.values[axis] = std::min(output_padding, std::max(c.stride[axis], c.dilation[axis]) - 1);
    check(shape_of(c.batch, c.in, c.outputs), weight_shape(c.kernel, c.channels / c.groups, c.outputs), c.channels,
          options);
  }
}

const std::vector<Case> kCases1{
    {.in = {1}, .kernel = {1}, .stride = {1}, .pad = {0}, .dilation = {1}, .batch = 1, .channels = 1, .outputs = 1},
    {.in = {5}, .kernel = {3}, .stride = {1}, .pad = {1}, .dilation = {1}},
    {.in = {7}, .kernel = {2}, .stride = {2}, .pad = {0}, .dilation = {1}},
    {.in = {6}, .kernel = {2}, .stride = {3}, .pad = {1}, .dilation = {1}, .channels = 3},
    {.in = {7}, .kernel = {3}, .stride = {1}, .pad = {2}, .dilation = {2}},
    {.in = {3}, .kernel = {3}, .stride = {1}, .pad = {0}, .dilation = {1}, .outputs = 1},
    {.in = {4}, .kernel = {1}, .stride = {1}, .pad = {0}, .dilation = {1}, .channels = 5, .outputs = 7},
    {.in = {4}, .kernel = {1}, .stride = {2}, .pad = {2}, .dilation = {1}},  // positions that see padding alone
    {.in = {5}, .kernel = {4}, .stride = {1}, .pad = {3}, .dilation = {1}},
    {.in = {6}, .kernel = {3}, .stride = {2}, .pad = {1}, .dilation = {1}, .channels = 4, .outputs = 4, .groups = 4},
    {.in = {6}, .kernel = {3}, .stride = {1}, .pad = {1}, .dilation = {1}, .channels = 4, .outputs = 6, .groups = 2},
    {.in = {9}, .kernel = {2}, .stride = {4}, .pad = {0}, .dilation = {3}, .batch = 3, .channels = 3, .outputs = 2},
};
const std::vector<Case> kCases2{
    {.in = {1, 1}, .kernel = {1, 1}, .stride = {1, 1}, .pad = {0, 0}, .dilation = {1, 1}, .batch = 1, .channels = 1},
    {.in = {4, 5}, .kernel = {3, 3}, .stride = {1, 1}, .pad = {1, 1}, .dilation = {1, 1}},
    {.in = {5, 4}, .kernel = {3, 2}, .stride = {2, 1}, .pad = {0, 1}, .dilation = {1, 1}},
    {.in = {5, 5}, .kernel = {2, 2}, .stride = {3, 3}, .pad = {0, 0}, .dilation = {1, 1}},
    {.in = {6, 5}, .kernel = {2, 3}, .stride = {1, 1}, .pad = {1, 2}, .dilation = {3, 2}},
    {.in = {3, 1}, .kernel = {3, 1}, .stride = {1, 1}, .pad = {1, 0}, .dilation = {1, 1}, .channels = 3},
    {.in = {1, 6}, .kernel = {1, 5}, .stride = {1, 2}, .pad = {0, 2}, .dilation = {1, 1}, .channels = 1},
    {.in = {3, 3}, .kernel = {1, 1}, .stride = {1, 1}, .pad = {0, 0}, .dilation = {1, 1}, .channels = 6, .outputs = 17},
    {.in = {3, 3}, .kernel = {1, 1}, .stride = {2, 2}, .pad = {1, 1}, .dilation = {1, 1}, .channels = 3},
    {.in = {4, 4},
     .kernel = {3, 3},
     .stride = {1, 1},
     .pad = {1, 1},
     .dilation = {1, 1},
     .channels = 4,
     .outputs = 4,
     .groups = 4},
    {.in = {4, 4},
     .kernel = {3, 3},
     .stride = {2, 2},
     .pad = {1, 1},
     .dilation = {1, 1},
     .channels = 3,
     .outputs = 6,
     .groups = 3},
    {.in = {3, 5},
     .kernel = {2, 2},
     .stride = {1, 1},
     .pad = {1, 1},
     .dilation = {1, 1},
     .channels = 6,
     .outputs = 4,
     .groups = 2},
    {.in = {4, 4}, .kernel = {4, 4}, .stride = {1, 1}, .pad = {2, 2}, .dilation = {1, 1}, .channels = 1, .outputs = 2},
};
const std::vector<Case> kCases3{
    {.in = {1, 1, 1}, .kernel = {1, 1, 1}, .stride = {1, 1, 1}, .pad = {0, 0, 0}, .dilation = {1, 1, 1}, .batch = 1},
    {.in = {3, 3, 3}, .kernel = {3, 3, 3}, .stride = {1, 1, 1}, .pad = {1, 1, 1}, .dilation = {1, 1, 1}},
    {.in = {3, 2, 4}, .kernel = {2, 1, 3}, .stride = {1, 1, 1}, .pad = {0, 0, 1}, .dilation = {1, 1, 1}},
    {.in = {4, 3, 2}, .kernel = {2, 2, 2}, .stride = {2, 1, 1}, .pad = {1, 0, 0}, .dilation = {1, 1, 1}},
    {.in = {2, 3, 3}, .kernel = {1, 2, 2}, .stride = {1, 2, 2}, .pad = {0, 1, 1}, .dilation = {1, 1, 1}},
    {.in = {3, 3, 3}, .kernel = {2, 2, 2}, .stride = {1, 1, 1}, .pad = {0, 0, 0}, .dilation = {2, 2, 2}},
    {.in = {1, 4, 1}, .kernel = {1, 3, 1}, .stride = {1, 1, 1}, .pad = {0, 1, 0}, .dilation = {1, 1, 1}},
    {.in = {2, 2, 2}, .kernel = {1, 1, 1}, .stride = {1, 1, 1}, .pad = {0, 0, 0}, .dilation = {1, 1, 1}, .channels = 5},
    {.in = {2, 2, 2}, .kernel = {2, 2, 2}, .stride = {1, 1, 1}, .pad = {1, 1, 1}, .dilation = {1, 1, 1}, .outputs = 1},
    {.in = {2, 3, 2},
     .kernel = {2, 2, 2},
     .stride = {1, 1, 1},
     .pad = {0, 1, 0},
     .dilation = {1, 1, 1},
     .channels = 4,
     .outputs = 4,
     .groups = 4},
    {.in = {2, 3, 2},
     .kernel = {1, 3, 1},
     .stride = {1, 1, 2},
     .pad = {0, 1, 0},
     .dilation = {1, 1, 1},
     .channels = 4,
     .outputs = 2,
     .groups = 2},
    {.in = {5, 1, 2}, .kernel = {2, 1, 1}, .stride = {3, 1, 1}, .pad = {0, 0, 0}, .dilation = {1, 1, 1}, .batch = 3},
};

}  // namespace

TEST_CASE("conv1d: gradients over strides, padding, dilation and groups") { check_conv<1>(kCases1); }
TEST_CASE("conv2d: gradients over strides, padding, dilation and groups") { check_conv<2>(kCases2); }
TEST_CASE("conv3d: gradients over strides, padding, dilation and groups") { check_conv<3>(kCases3); }

TEST_CASE("conv_transpose: gradients over strides, padding, dilation, groups and output padding") {
  for (std::int64_t output_padding : {0, 2}) {
    check_transpose<1>(kCases1, output_padding);
    check_transpose<2>(kCases2, output_padding);
    check_transpose<3>(kCases3, output_padding);
  }
}

TEST_CASE("conv: every activation is that of the op behind it") {
  std::vector<Activation> all{Activation::none};
  for (const PointwiseCase& c : activation_cases())
    if (const auto activation = c.activation()) all.push_back(*activation);
  Context context{{.threads = 1}};
  for (const Activation activation : all) {
    const auto run = [&](const auto& op) {
      Tape tape{context};
      const Var x = tape.variable(context.uniform({2, 5, 6, 3}, -1, 1, 1)),
                w = tape.variable(context.uniform({3, 2, 3, 3}, -1, 1, 2)),
                b = tape.variable(context.uniform({3}, -1, 1, 3));
      const Var y = op(x, w, b);
      const Gradients gradients = tape.backward(y, context.uniform(y.shape(), -1, 1, 4));
      return std::vector<Tensor>{y.value().clone(), gradients[x].clone(), gradients[w].clone(), gradients[b].clone()};
    };
    const auto require_equal = [](const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
      for (std::size_t i = 0; i < a.size(); ++i)
        REQUIRE(std::ranges::equal(std::as_const(a[i]).span<float>(), std::as_const(b[i]).span<float>()));
    };
    INFO("activation " << static_cast<int>(activation));
    require_equal(run([&](const Var& x, const Var& w, const Var& b) {
                    return conv2d(x, w, b, {.padding = {1, 0}, .activation = activation});
                  }),
                  run([&](const Var& x, const Var& w, const Var& b) {
                    return activate(conv2d(x, w, b, {.padding = {1, 0}}), activation);
                  }));
    require_equal(run([&](const Var& x, const Var& w, const Var& b) {
                    return conv_transpose2d(x, w, b, {.stride = 2, .activation = activation});
                  }),
                  run([&](const Var& x, const Var& w, const Var& b) {
                    return activate(conv_transpose2d(x, w, b, {.stride = 2}), activation);
                  }));
  }
}

TEST_CASE("conv: gradients through the fused relu, over kernels, groups and strides") {
  for (const Case& c : kCases2) {
    ConvOptions<2> options = options_of<2>(c);
    options.activation = Activation::relu;
    // Sums of products are below 18, and biases beyond 20 decide the sign: none comes near the kink.
    check_op(
        [&](std::span<const Var> v) {
          const Var bias = v[2] * 400 - 200;
          return conv2d(v[0], v[1], bias, options);
        },
        {shape_of(c.batch, c.in, c.channels), weight_shape(c.kernel, c.channels / c.groups, c.outputs), {c.outputs}},
        {.low = 0.01, .high = 0.98, .away_from = 0.5});
  }
}

TEST_CASE("conv: padding `same` keeps the size, with the odd zero behind") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.tensor({1, 4, 1}, {1, 2, 3, 4})),
            w = context.input(context.tensor({2, 1, 1}, {10, 1}));
  const Var y = conv1d(x, w, {}, {.padding = Padding::same});
  REQUIRE(y.shape() == Shape{1, 4, 1});
  CHECK(std::ranges::equal(y.value().span<float>(), std::array{12.0f, 23.0f, 34.0f, 40.0f}));
  const Var dilated = conv1d(x, w, {}, {.padding = Padding::same, .dilation = 3});  // one before, two behind
  CHECK(std::ranges::equal(dilated.value().span<float>(), std::array{3.0f, 14.0f, 20.0f, 30.0f}));
  CHECK(conv1d(x, w, {}, {.padding = Padding::valid}).shape() == Shape{1, 3, 1});
  for (std::int64_t kernel : {1, 2, 3, 4, 5})
    for (std::int64_t dilation : {1, 2})
      check_op(
          [&](std::span<const Var> v) {
            return conv2d(v[0], v[1], v[2], {.padding = Padding::same, .dilation = dilation});
          },
          {{2, 5, 4, 2}, {kernel, 3, 2, 3}, {3}});
}

TEST_CASE("conv_transpose: sizes and numbers of a small case by hand") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.tensor({1, 2, 1}, {1, 2})),
            w = context.input(context.tensor({3, 1, 1}, {1, 10, 100})), b = context.input(context.tensor({1}, {1000}));
  const auto row = [&](const ConvTransposeOptions<1>& options) {
    const Tensor y = conv_transpose1d(x, w, b, options).value();
    const std::span<const float> values = y.span<float>();
    return std::vector<float>(values.begin(), values.end());
  };
  CHECK(row({}) == std::vector<float>{1001, 1012, 1120, 1200});
  CHECK(row({.stride = 2}) == std::vector<float>{1001, 1010, 1102, 1020, 1200});
  CHECK(row({.stride = 2, .output_padding = 1}) == std::vector<float>{1001, 1010, 1102, 1020, 1200, 1000});
  CHECK(row({.padding = 1}) == std::vector<float>{1012, 1120});
  CHECK(row({.dilation = 2}) == std::vector<float>{1001, 1002, 1010, 1020, 1100, 1200});
}

TEST_CASE("conv: one value in several places, constants, and no samples at all") {
  check_op([](std::span<const Var> v) { return conv1d(v[0], v[0]); }, {{3, 3, 3}});
  check_op([](std::span<const Var> v) { return conv1d(conv1d(v[0], v[1], v[2]), v[1], v[2]); },
           {{2, 5, 3}, {2, 3, 3}, {3}});
  const Context fixed;
  const auto constant = [&](const Var& beside, const Shape& shape) {
    return beside.constant(fixed.uniform(shape, -1, 1, 9, DType::float64).to(beside.dtype()));
  };
  const Shape x_shape{2, 4, 3, 2}, w_shape{2, 2, 2, 3};
  check_op([&](std::span<const Var> v) { return conv2d(v[0], constant(v[0], w_shape), constant(v[0], {3})); },
           {x_shape});
  check_op([&](std::span<const Var> v) { return conv2d(constant(v[0], x_shape), v[0], constant(v[0], {3})); },
           {w_shape});
  check_op([&](std::span<const Var> v) { return conv2d(constant(v[0], x_shape), constant(v[0], w_shape), v[0]); },
           {{3}});
  check_op([&](std::span<const Var> v) { return conv_transpose2d(constant(v[0], x_shape), v[0]); }, {{2, 2, 3, 2}});
  Context context{{.threads = 1}};
  Tape tape{context};
  const Var x = tape.variable(context.zeros({0, 4, 2})), w = tape.variable(context.full({3, 2, 5}, 1)),
            b = tape.variable(context.full({5}, 1));
  const Var y = conv1d(x, w, b, {.padding = 1, .activation = Activation::relu});
  REQUIRE(y.shape() == Shape{0, 4, 5});
  const Var z = conv_transpose1d(y, w, {}, {.stride = 2});
  REQUIRE(z.shape() == Shape{0, 9, 2});
  const Gradients gradients = tape.backward(z, z.value().like());
  for (const Tensor& gradient : {gradients[w], gradients[b]})
    for (const float value : gradient.span<float>()) REQUIRE(value == 0);
}
