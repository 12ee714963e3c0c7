// Norms of nothing, and what they refuse.
#include "autodiff/ops/cast.h"
#include "autodiff/ops/elementwise.h"
#include "autodiff/ops/norm.h"
#include "autodiff/ops/reduce.h"
#include "autodiff/tape.h"
#include "tests/catch.h"

using namespace tapestry;

TEST_CASE("norms of an empty batch are empty, whatever the options") {
  Context context{{.threads = 1}};
  for (const Shape& shape : {Shape{0, 3, 4}, {2, 0, 4}}) {
    Tape tape{context};
    const Var x = tape.variable(context.empty(shape)), weight = tape.variable(context.full({4}, 1));
    const Var each = tape.variable(context.full({shape[1], 2}, 1));
    const Tensor mask = context.zeros({shape[1], 1});
    for (const Var& y :
         {group_norm(x, weight, {}, {.num_groups = 2}), group_norm(x, weight, {}, {.num_groups = 2, .mask = mask}),
          group_norm(x, weight, {}, {.num_groups = 2, .reduction_axes = 2}),
          group_norm(x, each, {}, {.num_groups = 2, .affine = AffineShape::per_position}),
          group_norm(x, {.group_size = 2, .feature_axes = {2}}), batch_norm(x, weight, {}),
          batch_norm(x, weight, {}, {.mask = mask}), instance_norm(x, weight, {}), instance_norm(x, {.mask = mask}),
          layer_norm(x, weight, {}), layer_norm(x, weight, {}, {.reduction_axes = 1, .feature_axes = 2}),
          layer_norm(x, {.axes = 2}), rms_norm(x, weight), rms_norm(x, weight, {.mask = mask})})
      REQUIRE(y.shape() == shape);
    const Gradients gradients =
        tape.backward(sum(group_norm(x, each, {}, {.num_groups = 2, .affine = AffineShape::per_position})) +
                      sum(batch_norm(x, weight, {})));
    for (const Tensor& gradient : {gradients[weight], gradients[each]})
      for (float g : gradient.span<float>()) REQUIRE(g == 0);
  }
}

TEST_CASE("batch_norm in evaluation asks no replicas, and the usual norms record themselves alone") {
  Context context{{.threads = 1}};
  Buffer mean, var;
  mean.set(context.full({4}, 1));
  var.set(context.full({4}, 4));
  const ReplicaAxes elsewhere{.names = {"elsewhere"}};
  const BatchNormOptions evaluation{
      .training = false, .running_mean = &mean, .running_var = &var, .replicas = &elsewhere};
  REQUIRE(batch_norm(context.input(context.full({1, 4}, 5)), evaluation).value().span<float>()[0] == Approx(2));
  Tape tape{context};
  const Var x = tape.variable(context.normal({2, 3, 4}, 0, 1, 1)), weight = tape.variable(context.full({4}, 1)),
            bias = tape.variable(context.zeros({4}));
  const std::size_t before = tape.nodes();
  batch_norm(x, weight, bias);
  group_norm(x, weight, bias, {.num_groups = 2});
  instance_norm(x, weight, bias);
  layer_norm(x, weight, bias);
  REQUIRE(tape.nodes() == before + 4);
}

TEST_CASE("norms refuse before anything is recorded") {
  Context context{{.threads = 1}};
  Tape tape{context};
  const Var x = tape.variable(context.zeros({2, 3, 4}));
  const Var weight = tape.variable(context.zeros({5}, DType::float64));
  const ReplicaAxes nowhere{.names = {"nowhere"}};
  const std::size_t before = tape.nodes();
  REQUIRE_THROWS_AS(layer_norm(x, weight, {}), ShapeError);
  REQUIRE_THROWS_AS(batch_norm(x, weight, {}, {.feature_axes = 1}), ShapeError);
  REQUIRE_THROWS_AS(group_norm(x, weight, {}, {.num_groups = 1, .feature_axes = 1}), ShapeError);
  REQUIRE_THROWS_AS(group_norm(x, {.num_groups = 1, .feature_axes = 1, .replicas = &nowhere}), ArgumentError);
  REQUIRE_THROWS_AS(batch_norm(x, {.feature_axes = 1, .replicas = &nowhere}), ArgumentError);
  REQUIRE_THROWS_AS(rms_norm(x, {.reduction_axes = 1, .replicas = &nowhere}), ArgumentError);
  REQUIRE(tape.nodes() == before);
}

TEST_CASE("norms over any axes and with masks are refused by name where they do not fit") {
  Context context{{.threads = 1}};
  const auto in = [&](const Shape& shape) { return context.input(context.zeros(shape)); };
  const Var x = in({2, 3, 4});
  const auto refuse = [](const auto& call, const char* reason) {
    REQUIRE_THROWS_AS(call(), Error);
    REQUIRE_THROWS_WITH(call(), contains("norm_edges_test.cc:") && contains(reason));
  };
  refuse([&] { layer_norm(x, {.reduction_axes = 3}); }, "layer_norm: reduction_axes names axis 3, x is [2, 3, 4]");
  refuse([&] { layer_norm(x, {.reduction_axes = {1, -2}}); }, "reduction_axes names axis -2 twice; x is [2, 3, 4]");
  refuse([&] { rms_norm(x, {.feature_axes = -4}); }, "rms_norm: feature_axes names axis -4");
  refuse([&] { layer_norm(x, in({3}), {}, {.feature_axes = 2}); }, "weight must be [4] for x [2, 3, 4]; it is [3]");
  refuse([&] { group_norm(x, {.num_groups = 2, .reduction_axes = 1}); }, "reduction_axes must name the feature axes");
  refuse([&] { group_norm(x, {.num_groups = 2, .feature_axes = 0}); }, "axis 0 of x [2, 3, 4] is the batch");
  refuse([&] { instance_norm(x, {.feature_axes = {0, 2}}); }, "instance_norm: axis 0 of x [2, 3, 4] is the batch");
  refuse([&] { batch_norm(x, {.feature_axes = {0, 1, 2}}); }, "batch_norm: x must be [N, ..., C]");
  refuse([&] { group_norm(x, in({4}), {}, {.num_groups = 2, .affine = AffineShape::per_position}); },
         "weight must be [3, 2] for x [2, 3, 4]; it is [4]");
  for (const Shape& mask : {Shape{3}, {2, 4}, {1, 2, 3, 4}})
    refuse([&] { group_norm(x, {.num_groups = 2, .mask = context.zeros(mask)}); }, "does not stretch to x [2, 3, 4]");
  refuse([&] { batch_norm(x, {.mask = context.zeros({5})}); }, "batch_norm: mask [5] does not stretch to x");
  refuse([&] { layer_norm(x, {.mask = context.zeros({5})}); }, "layer_norm: mask [5] does not stretch to x");
  refuse(
      [&] {
        group_norm(in({1, 2, 1, 2, 1, 4}), {.num_groups = 2, .reduction_axes = {1, 5}});
      },
      "x may have 5 axes at most for such groups");
  refuse([&] { cast(x, DType::int64); }, "cast: dtype must be float32 or float64; it is int64");
}
