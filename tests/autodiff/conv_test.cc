#include "autodiff/ops/conv.h"

#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/ops.h"

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
  std::copy(values.begin(), values.end(), sizes.values.begin());
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
