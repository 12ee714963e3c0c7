#include "layers/group_norm.h"

#include <fmt/format.h>

#include <cmath>

#include "autodiff/tape.h"
#include "kernels/error.h"
#include "layers/conv.h"
#include "layers/sequential.h"
#include "tests/layers/norm_layers.h"

using namespace tapestry;
using test::built;
using test::refusal;

namespace {

// The sets of x [N, ..., C] in groups, and the parameters of a layer whose weight lies along the channels.
test::NormProblem grouped(const GroupNorm& layer, const Shape& x, std::size_t groups) {
  test::NormProblem p{.set = test::groups_of(x, groups),
                      .affine = test::index_over(x, x.rank() - 1),
                      .weight = test::numbers(layer.weight.value()),
                      .bias = test::numbers(layer.bias.value()),
                      .epsilon = layer.options.epsilon};
  return p;
}

const Initializer kWide = Uniform{-2, 2};

}  // namespace

TEST_CASE("GroupNorm: groups by number or by size, and their refusals when the model is built") {
  Context context;
  Sequential model = Input{4, 4, 18} >> GroupNorm{{.num_groups = 6}} >> GroupNorm{{.group_size = 3, .bias = false}} >>
                     GroupNorm{{.num_groups = 1, .num_channels = 18, .weight = false}} >> GroupNorm{2};
  model.build(context);
  CHECK(model.parameters().size() == 6);
  CHECK(model.get<GroupNorm>(0).weight.shape() == Shape{18});
  CHECK(model.layer_summary().output == Shape{4, 4, 18});
  const Var x = context.input(context.normal({2, 4, 4, 18}, 0, 1, 1));
  Sequential by_number = Input{4, 4, 18} >> GroupNorm{{.num_groups = 6}},
             by_size = Input{4, 4, 18} >> GroupNorm{{.group_size = 3}};
  by_number.build(context);
  by_size.build(context);
  CHECK(test::numbers(by_number(x, Mode::eval).value()) == test::numbers(by_size(x, Mode::eval).value()));

  const auto fails = [&](GroupNorm layer, const char* reason) {
    Sequential wrong = Input{4, 4, 18} >> std::move(layer);
    REQUIRE_THROWS_WITH(wrong.build(context), contains("0 (norm_group_test.cc:") && contains(reason));
  };
  fails(GroupNorm{{.num_groups = 4}}, "GroupNorm: 18 channels cannot form 4 equal groups");
  fails(GroupNorm{{.group_size = 4}}, "GroupNorm: 18 channels cannot form groups of 4");
  fails(GroupNorm{}, "GroupNorm: 18 channels cannot form 32 equal groups, the default");
  fails(GroupNorm{{.num_groups = 2, .group_size = 9}}, "give either num_groups or group_size; they are 2 and 9");
  fails(GroupNorm{{.num_groups = -2}}, "they are -2 and 0");
  fails(GroupNorm{{.group_size = -2}}, "they are 0 and -2");
  fails(GroupNorm{{.num_groups = 2, .num_channels = 16}}, "num_channels");
  fails(GroupNorm{{.num_groups = 2, .num_channels = -1}}, "num_channels is -1, it must be positive");
  fails(GroupNorm{{.num_groups = 2, .epsilon = 0}}, "epsilon must be positive and finite; it is 0");
  fails(GroupNorm{{.num_groups = 2, .dtype = DType::int64}}, "dtype must be float32 or float64; it is int64");
  REQUIRE_THROWS_WITH(GroupNorm{0},
                      contains("norm_group_test.cc:") && contains("num_groups must be positive; it is 0"));
  GroupNorm unbuilt{{.num_groups = 2}};
  REQUIRE_THROWS_WITH(unbuilt(x), contains("GroupNorm: the layer is used before"));
  REQUIRE_THROWS_WITH(built(context, GroupNorm{4}, Flow()), contains("num_channels is not given"));
}

TEST_CASE("GroupNorm: without groups there are 32, and the channels come from the layer before") {
  Context context;
  Sequential model = Input{5, 5, 1} >> Conv2d{{.out = 64, .kernel = 3}} >> GroupNorm{};
  model.build(context);
  const GroupNorm& layer = model.get<GroupNorm>(1);
  const Tensor x = context.normal({2, 3, 3, 64}, 1, 3, 1);
  test::require_normalized(grouped(layer, x.shape(), 32), x, layer(context.input(x)).value());
}

TEST_CASE("GroupNorm: initializers are numbers, tensors or distributions") {
  Context context;
  const Tensor ramp = context.tensor({4}, {1, 2, 3, 4});
  const GroupNorm layer = built(context, GroupNorm{{.num_groups = 2, .weight_init = ramp, .bias_init = 0.5}}, Shape{4});
  CHECK(test::numbers(layer.weight.value()) == std::vector<double>{1, 2, 3, 4});
  CHECK(test::numbers(layer.bias.value()) == std::vector<double>(4, 0.5));
  CHECK_THAT(refusal(context, GroupNorm{{.num_groups = 2, .weight_init = ramp}}, Shape{6}),
             contains("the given tensor is [4], the parameter is [6]"));
  const GroupNorm even =
      built(context, GroupNorm{{.num_groups = 2, .bias_init = Stretched{context.tensor({1, 1, 1}, {7})}}}, Shape{4});
  CHECK(test::numbers(even.bias.value()) == std::vector<double>(4, 7));
}

TEST_CASE("GroupNorm: reduction axes keep the others apart") {
  Context context;
  const Tensor x = context.normal({2, 3, 5, 6}, 1, 2, 1);
  const GroupNorm layer = built(context,
                                GroupNorm{{.num_groups = 3,
                                           .weight_init = kWide,
                                           .bias_init = kWide,
                                           .reduction_axes = {2, -1},
                                           .use_fast_variance = false}},
                                Shape{3, 5, 6});
  test::NormProblem p = grouped(layer, x.shape(), 3);
  const std::vector<std::size_t> rows = test::index_over(x.shape(), {0, 1});
  for (std::size_t i = 0; i < p.set.size(); ++i) p.set[i] = rows[i] * 3 + p.set[i] % 3;
  test::require_normalized(p, x, layer(context.input(x)).value());

  const auto axes = [&](const Axes& reduced) {
    return refusal(context, GroupNorm{{.num_groups = 3, .reduction_axes = reduced}}, Shape{3, 5, 6});
  };
  CHECK_THAT(axes({1, 4}), contains("Invalid axis 4 for 4D input"));
  CHECK_THAT(axes({3, -1}), contains("reduction_axes {3, -1} of 4D input have to contain only unique values"));
  REQUIRE_THROWS_AS(
      built(context, GroupNorm{{.num_groups = 3, .reduction_axes = {1, 2}}}, Shape{3, 5, 6})(context.input(x)),
      ShapeError);  // without the channels
}

TEST_CASE("GroupNorm: inputs of another rank than is wanted are refused") {
  Context context;
  const GroupNorm layer = built(context, GroupNorm{{.num_groups = 2, .rank = 3}}, Shape{5, 6});
  CHECK(layer(context.input(context.zeros({2, 5, 6}))).shape() == Shape{2, 5, 6});
  REQUIRE_THROWS_WITH(
      layer(context.input(context.zeros({2, 6}))),
      contains("GroupNorm: expected 3D input (got 2D input): the input must be [N, L, C]; it is [2, 6]"));
  CHECK_THAT(refusal(context, GroupNorm{{.num_groups = 2, .rank = 4}}, Shape{5, 6}),
             contains("expected 4D input (got 3D input)"));
  for (const int rank : {-1, 1, 6})
    CHECK_THAT(refusal(context, GroupNorm{{.num_groups = 2, .rank = rank}}, Shape{6}),
               contains(fmt::format("rank is {}, it must be from 2 to 5, or 0", rank)));
}

TEST_CASE("GroupNorm: axis counts positions, and the channels are added") {
  Context context;
  const Tensor x = context.normal({2, 3, 5, 6}, 1, 2, 1);
  const auto y = [&](const Axes& axis, const Axes& reduced) {
    const GroupNorm layer =
        built(context, GroupNorm{{.num_groups = 3, .reduction_axes = reduced, .axis = axis}}, Shape{3, 5, 6});
    return test::numbers(layer(context.input(x)).value());
  };
  CHECK(y({1, 2}, {}) == y({}, {}));
  CHECK(y({2}, {}) == y({}, {2, 3}));
  CHECK(y({1, 4}, {}) == y({}, {1, 3}));  // 4: that within the groups of [N, 3, 5, 3, 2], which is normalized anyway
  CHECK(y({-3}, {}) == y({}, {2, 3}));
  CHECK(y({-1}, {}) == y({}, {3}));
  const auto fails = [&](GroupNorm::Options options, const char* reason) {
    options.num_groups = 3;
    CHECK_THAT(refusal(context, GroupNorm{options}, Shape{3, 5, 6}), contains(reason));
  };
  fails({.axis = 0}, "axis is {0}, whose 0 is that of the batch; it takes the positions from 1 to 2");
  fails({.axis = {1, 3}}, "whose 3 is that of the groups");
  fails({.axis = -2}, "that of the groups");
  fails({.axis = 5}, "Invalid axis 5 for 5D input");
  fails({.axis = {1, -4}}, "have to contain only unique values");
  fails({.reduction_axes = {1, 3}, .axis = 1}, "give either axis or reduction_axes");
  fails({.axis = 1, .feature_axes = 1}, "axis needs channels that lie last");
}

TEST_CASE("GroupNorm: weight and bias per position are shared by the groups") {
  Context context;
  const Tensor x = context.normal({2, 3, 5, 6}, 1, 2, 1);
  const auto check = [&](const Axes& axis, const Shape& shape, const auto& place) {
    const GroupNorm layer = built(context,
                                  GroupNorm{{.num_groups = 3,
                                             .weight_init = kWide,
                                             .bias_init = kWide,
                                             .affine = AffineShape::per_position,
                                             .axis = axis}},
                                  Shape{3, 5, 6});
    REQUIRE(layer.weight.shape() == shape);
    REQUIRE(layer.bias.shape() == shape);
    test::NormProblem p = grouped(layer, x.shape(), 3);
    for (std::size_t i = 0; i < p.set.size(); ++i) {
      const std::size_t c = i % 6, w = i / 6 % 5, h = i / 30 % 3, n = i / 90;
      p.affine[i] = place(h, w, c % 2);
      if (axis.count() > 0) p.set[i] = (n * 3 + h) * 3 + c / 2;
    }
    test::require_normalized(p, x, layer(context.input(x)).value());
  };
  check({}, {3, 5, 2}, [](std::size_t h, std::size_t w, std::size_t s) { return (h * 5 + w) * 2 + s; });
  check({2}, {5, 2}, [](std::size_t, std::size_t w, std::size_t s) { return w * 2 + s; });
  CHECK(built(context, GroupNorm{{.num_groups = 3, .affine = AffineShape::per_position}}, Shape{6}).weight.shape() ==
        Shape{2});
  CHECK_THAT(refusal(context, GroupNorm{{.num_groups = 3, .num_channels = 6, .affine = AffineShape::per_position}}),
             contains("weight and bias per position need the shape of the input"));
  CHECK_THAT(
      refusal(context, GroupNorm{{.num_groups = 3, .affine = AffineShape::per_position, .reduction_axes = {0, 2, -1}}},
              Shape{3, 5, 6}),
      contains("weight and bias per position cannot lie along the batch; reduction_axes is {0, 2, -1}"));
}

TEST_CASE("GroupNorm: channels anywhere, and along several axes") {
  Context context;
  const Tensor x = context.normal({2, 6, 3, 5}, 1, 2, 1);
  const GroupNorm first =
      built(context, GroupNorm{{.num_groups = 3, .num_channels = 6, .weight_init = kWide, .feature_axes = 1}},
            Shape{6, 3, 5});
  REQUIRE(first.weight.shape() == Shape{6});
  test::NormProblem p{.set = test::index_over(x.shape(), {0, 1}),
                      .affine = test::index_over(x.shape(), 1),
                      .weight = test::numbers(first.weight.value())};
  for (std::size_t& set : p.set) set /= 2;
  test::require_normalized(p, x, first(context.input(x)).value());

  const GroupNorm both =
      built(context, GroupNorm{{.num_groups = 5, .num_channels = 30, .weight_init = kWide, .feature_axes = {1, 3}}},
            Shape{6, 3, 5});
  REQUIRE(both.weight.shape() == Shape{6, 5});
  p.set = test::index_over(x.shape(), {0, 1, 3});
  for (std::size_t& set : p.set) set /= 6;
  p.affine = test::index_over(x.shape(), {1, 3});
  p.weight = test::numbers(both.weight.value());
  test::require_normalized(p, x, both(context.input(x)).value());

  const auto fails = [&](const Axes& features, std::int64_t channels) {
    return refusal(context, GroupNorm{{.num_groups = 3, .num_channels = channels, .feature_axes = features}},
                   Shape{6, 3, 5});
  };
  CHECK_THAT(fails({1, 3}, 6), contains("num_channels is 6, but the feature axes {1, 3} have 30"));
  CHECK_THAT(fails(0, 0), contains("axis 0 is the batch, it cannot be a feature axis"));
  CHECK_THAT(fails(4, 0), contains("Invalid axis 4 for 4D input"));
  CHECK_THAT(fails({}, 0), contains("there must be at least one feature axis"));
}

TEST_CASE("GroupNorm: a mask selects by selection, gradients flow through the statistics, every place is written") {
  Context context;
  Tensor x = context.normal({2, 3, 4}, 1, 2, 1);
  Tensor mask = context.tensor({3, 1}, {1, 0, 1});  // the same positions of both samples
  const GroupNorm layer =
      built(context, GroupNorm{{.num_groups = 2, .weight_init = kWide, .bias_init = kWide}}, Shape{3, 4});
  test::NormProblem p = grouped(layer, x.shape(), 2);
  for (std::size_t i = 0; i < 24; ++i) p.selected.push_back(i / 4 % 3 != 1);
  test::require_normalized(p, x, layer(context.input(x), mask).value());
  Tape tape{context};
  const Var v = tape.variable(x), y = layer(v, mask);
  Tensor dy = context.zeros(x.shape());
  dy.span<float>()[5] = 1;  // at a place that does not count
  const Gradients gradients = tape.backward(y, dy);
  const auto dx = gradients[v].span<float>();
  CHECK(dx[0] != 0);
  CHECK(dx[12] == 0);
  x.span<float>()[5] = INFINITY;
  const Var hidden = layer(context.input(x), mask);
  CHECK(std::isfinite(hidden.value().span<float>()[0]));
  REQUIRE_THROWS_AS(layer(context.input(x), context.full({2, 4}, 1)), ShapeError);
}
