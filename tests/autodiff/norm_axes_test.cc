// Norms over any axes, with masks, in any type: what goes through the general core.
#include <cmath>
#include <limits>

#include "autodiff/ops/cast.h"
#include "autodiff/ops/elementwise.h"
#include "autodiff/ops/norm.h"
#include "autodiff/ops/reduce.h"
#include "autodiff/ops/reshape.h"
#include "autodiff/ops/shape.h"
#include "tests/catch.h"
#include "tests/support/ops.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

using V = std::span<const Var>;

void require_same(const Var& found, const Var& expected, double tolerance = 1e-12) {
  REQUIRE(found.shape() == expected.shape());
  const Tensor a = found.value().to(DType::float64), b = expected.value().to(DType::float64);
  const auto x = a.span<double>(), y = b.span<double>();
  for (std::size_t i = 0; i < x.size(); ++i)
    REQUIRE(std::abs(x[i] - y[i]) <= tolerance * std::max(1.0, std::abs(y[i])));
}

// 1 at about two of three places.
Tensor some(const Context& context, const Shape& shape) {
  Tensor mask = context.zeros(shape, DType::int64);
  std::size_t i = 0;
  for (std::int64_t& m : mask.span<std::int64_t>()) m = ++i * 7 % 3 != 0 ? 1 : 0;
  return mask;
}

}  // namespace

TEST_CASE("norms over any axes: gradients") {
  for (const Shape& shape : {Shape{2, 3, 4}, {3, 2, 5}, {2, 1, 4}, {4, 3, 1}, {3, 5, 2}, {2, 4, 4}}) {
    const Shape first{shape[1]}, second{shape[2]}, both{shape[1], shape[2]};
    const auto layer = [](LayerNormOptions o) { return [o](V v) { return layer_norm(v[0], v[1], v[2], o); }; };
    check_op(layer({.reduction_axes = 1, .feature_axes = 2, .epsilon = 1e-2}), {shape, second, second});
    check_op(layer({.reduction_axes = {1, 2}, .feature_axes = 1, .epsilon = 1e-2}), {shape, first, first});
    check_op(layer({.reduction_axes = 0, .feature_axes = {1, 2}, .epsilon = 1e-2}), {shape, both, both});
    check_op([](V v) { return rms_norm(v[0], v[1], {.epsilon = 1e-2}); }, {shape, second});
    check_op([](V v) { return rms_norm(v[0], v[1], {.reduction_axes = 1, .epsilon = 1e-2}); }, {shape, first});
    check_op([](V v) { return batch_norm(v[0], v[1], v[2], {.feature_axes = 1, .epsilon = 1e-2}); },
             {shape, first, first});
    check_op(
        [](V v) {
          return batch_norm(v[0], v[1], v[2], {.feature_axes = {1, 2}, .epsilon = 1e-2});
        },
        {shape, both, both});
    if (shape[2] > 1)
      check_op([](V v) { return instance_norm(v[0], v[1], v[2], {.feature_axes = 1, .epsilon = 1e-2}); },
               {shape, first, first});
    if (shape[2] == 4) {
      check_op(
          [](V v) { return group_norm(v[0], v[1], v[2], {.num_groups = 2, .reduction_axes = 2, .epsilon = 1e-2}); },
          {shape, second, second});
      check_op(
          [](V v) {
            return group_norm(v[0], v[1], v[2],
                              {.num_groups = 2, .affine = AffineShape::per_position, .epsilon = 1e-2});
          },
          {shape, {shape[1], 2}, {shape[1], 2}});
    }
  }
}

TEST_CASE("norms with masks: gradients") {
  Context context{{.threads = 1}};
  for (const Shape& shape : {Shape{2, 6, 4}, {3, 4, 2}, {2, 7, 4}, {5, 3, 8}}) {
    const Shape channels{shape[2]};
    const Tensor mask = some(context, {shape[0], shape[1], 1});
    check_op([&](V v) { return layer_norm(v[0], v[1], v[2], {.epsilon = 1e-2, .mask = some(context, shape)}); },
             {shape, channels, channels});
    check_op([&](V v) { return rms_norm(v[0], v[1], {.axes = 2, .epsilon = 1e-2, .mask = mask}); },
             {shape, {shape[1], shape[2]}});
    check_op([&](V v) { return group_norm(v[0], v[1], v[2], {.num_groups = 2, .epsilon = 1e-2, .mask = mask}); },
             {shape, channels, channels});
    check_op([&](V v) { return instance_norm(v[0], v[1], v[2], {.epsilon = 1e-2, .mask = mask}); },
             {shape, channels, channels});
    check_op(
        [&](V v) {
          return batch_norm(v[0], v[1], v[2],
                            {.epsilon = 1e-2, .mask = mask, .activation = Activation::tanh, .residual = v[3]});
        },
        {shape, channels, channels, shape});
  }
}

TEST_CASE("norms with masks: the statistics are those of what counts, and NaN that does not count goes nowhere") {
  Context context{{.threads = 1}};
  const Tensor whole = context.normal({4, 6, 3}, 2, 3, 1);
  Tensor x = whole.clone(), mask = context.zeros({6, 1});
  for (std::size_t p : {0u, 2u, 3u}) mask.span<float>()[p] = 5;
  for (std::size_t n = 0; n < 4; ++n)
    for (std::size_t p : {1u, 4u, 5u})
      for (std::size_t c = 0; c < 3; ++c) x.span<float>()[(n * 6 + p) * 3 + c] = NAN;
  Tensor kept = context.empty({4, 3, 3});
  for (std::size_t n = 0; n < 4; ++n)
    for (std::size_t p = 0; p < 3; ++p)
      for (std::size_t c = 0; c < 3; ++c)
        kept.span<float>()[(n * 3 + p) * 3 + c] = whole.span<float>()[(n * 6 + (p == 0 ? 0 : p + 1)) * 3 + c];
  const auto compare = [&](const auto& norm) {
    const Var all = norm(context.input(x), mask), few = norm(context.input(kept), Tensor{});
    require_same(slice(all, {.axis = 1, .begin = 0, .end = 1}), slice(few, {.axis = 1, .begin = 0, .end = 1}), 1e-6);
    require_same(slice(all, {.axis = 1, .begin = 2, .end = 4}), slice(few, {.axis = 1, .begin = 1, .end = 3}), 1e-6);
    Tape tape{context};
    const Var v = tape.variable(x);
    const Gradients gradients =
        tape.backward(slice(norm(v, mask), {.axis = 1, .begin = 2, .end = 4}), context.normal({4, 2, 3}, 0, 1, 2));
    const Tensor gradient = gradients[v];
    for (float g : gradient.span<float>()) REQUIRE(std::isfinite(g));
  };
  compare([](const Var& v, const Tensor& m) { return batch_norm(v, {.mask = m}); });
  compare([](const Var& v, const Tensor& m) { return group_norm(v, {.num_groups = 1, .mask = m}); });
  compare([](const Var& v, const Tensor& m) { return instance_norm(v, {.mask = m}); });
  compare([](const Var& v, const Tensor& m) { return layer_norm(v, {.axes = 2, .mask = m}); });
  compare([](const Var& v, const Tensor& m) { return rms_norm(v, {.reduction_axes = 1, .mask = m}); });

  const Var none = group_norm(context.input(whole), {.num_groups = 1, .mask = context.zeros({})});
  for (float v : none.value().span<float>()) REQUIRE(std::isnan(v));
  // The first sample is all padding, and its loss does not count.
  Tape tape{context};
  const Var v = tape.variable(whole), weight = tape.variable(context.full({3}, 2));
  const Var y = layer_norm(v, weight, {}, {.mask = context.tensor({4, 1, 1}, {0, 1, 1, 1})});
  const Gradients gradients = tape.backward(slice(y, {.begin = 1}), context.normal({3, 6, 3}, 0, 1, 2));
  for (std::size_t i = 0; i < 18; ++i) REQUIRE(gradients[v].span<float>()[i] == 0);
  const Tensor dweight = gradients[weight];
  for (float g : dweight.span<float>()) REQUIRE(std::isfinite(g));
}

TEST_CASE("norms are equal where they mean the same") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.normal({2, 3, 4, 6}, 1, 2, 1, DType::float64));
  const Var weight = x.constant(context.normal({6}, 1, 1, 2, DType::float64)),
            bias = x.constant(context.normal({6}, 0, 1, 3, DType::float64));
  const Tensor everything = context.full({}, 1);
  const auto same = [](const Var& a, const Var& b) { require_same(a, b); };
  same(layer_norm(x, weight, bias, {.reduction_axes = {1, 2, 3}, .feature_axes = 3}),
       group_norm(x, weight, bias, {.num_groups = 1}));
  same(layer_norm(x, weight, bias, {.reduction_axes = {1, -2}, .feature_axes = -1}), instance_norm(x, weight, bias));
  same(instance_norm(x, weight, bias), group_norm(x, weight, bias, {.group_size = 1}));
  same(layer_norm(x, weight, bias), layer_norm(x, weight, bias, {.mask = everything}));
  same(group_norm(x, weight, bias, {.num_groups = 3}),
       group_norm(x, weight, bias, {.num_groups = 3, .mask = everything}));
  same(group_norm(x, weight, bias, {.num_groups = 3}),
       group_norm(x, weight, bias, {.num_groups = 3, .reduction_axes = {3, 1, 2}}));
  same(group_norm(x, weight, bias, {.num_groups = 3}),
       group_norm(x, weight, bias, {.num_groups = 3, .use_fast_variance = false}));
  same(batch_norm(x, weight, bias), batch_norm(x, weight, bias, {.mask = everything}));
  same(batch_norm(x, weight, bias), layer_norm(x, weight, bias, {.reduction_axes = {0, 1, 2}, .feature_axes = 3}));
  const Var first = permute(x, {0, 3, 1, 2});
  const auto back = [](const Var& y) { return permute(y, {0, 2, 3, 1}); };
  same(group_norm(x, weight, bias, {.num_groups = 2}),
       back(group_norm(first, weight, bias, {.num_groups = 2, .feature_axes = 1})));
  same(instance_norm(x, weight, bias), back(instance_norm(first, weight, bias, {.feature_axes = 1})));
  same(batch_norm(x, weight, bias, {.activation = Activation::relu, .residual = x}),
       back(batch_norm(first, weight, bias, {.feature_axes = 1, .activation = Activation::relu, .residual = first})));
  // Two feature axes are as one.
  const Var two = group_norm(x, {.num_groups = 8, .feature_axes = {2, 3}});
  same(two, reshape(group_norm(reshape(x, {2, 3, 24}), {.num_groups = 8}), {2, 3, 4, 6}));
  // The same weight at every position is that of the place within its group.
  const Var within = x.constant(context.normal({3}, 1, 1, 4, DType::float64));
  same(group_norm(x, concat({within, within}), {}, {.num_groups = 2}),
       group_norm(x, broadcast_to(within, {3, 4, 3}), {}, {.num_groups = 2, .affine = AffineShape::per_position}));
  same(rms_norm(x - mean(x, {.axes = -1, .keepdim = true}), weight), layer_norm(x, weight, {}, {.epsilon = 1e-6}));
}

TEST_CASE("norms: the type of y is the widest of what goes in, or what was asked for") {
  Context context{{.threads = 1}};
  const Tensor x = context.normal({2, 3, 4}, 0, 1, 1);
  const Var narrow = context.input(x), wide = context.input(x.to(DType::float64)),
            whole = context.input(context.full({2, 3, 4}, 3, DType::int64));
  const Var weight = narrow.constant(context.full({4}, 2, DType::float64));
  REQUIRE(group_norm(narrow, {.num_groups = 2}).dtype() == DType::float32);
  REQUIRE(group_norm(whole, {.num_groups = 2}).dtype() == DType::float32);
  REQUIRE(layer_norm(narrow, weight, {}).dtype() == DType::float64);
  REQUIRE(batch_norm(narrow, {.dtype = DType::float64}).dtype() == DType::float64);
  REQUIRE(instance_norm(wide, {.dtype = DType::float32}).dtype() == DType::float32);
  require_same(rms_norm(whole), rms_norm(context.input(context.full({2, 3, 4}, 3))));
  const Var rounded =
      group_norm(wide, {.num_groups = 2, .dtype = DType::float32, .activation = Activation::relu, .residual = narrow});
  require_same(rounded, group_norm(narrow, {.num_groups = 2, .activation = Activation::relu, .residual = narrow}),
               1e-6);
  check_op([](V v) { return cast(layer_norm(v[0], {.epsilon = 1e-2, .dtype = DType::float64}), v[0].dtype()); },
           {{3, 4}});
  for (const auto& norm : {+[](const Var& v) { return group_norm(v, {.num_groups = 2, .dtype = DType::int64}); },
                           +[](const Var& v) { return batch_norm(v, {.dtype = DType::int64}); },
                           +[](const Var& v) { return layer_norm(v, {.dtype = DType::int64}); },
                           +[](const Var& v) { return instance_norm(v, {.dtype = DType::int64}); },
                           +[](const Var& v) { return rms_norm(v, {.dtype = DType::int64}); }}) {
    REQUIRE_THROWS_AS(norm(narrow), ArgumentError);
    REQUIRE_THROWS_WITH(norm(narrow), contains("dtype must be float32 or float64; it is int64"));
  }
}

TEST_CASE("batch_norm: running statistics with masks, inverse deviations, empty batches and batches of NaN") {
  Context context{{.threads = 1}};
  const auto buffer = [&](std::initializer_list<float> values) {
    Buffer b;
    b.set(context.tensor({2}, values));
    return b;
  };
  const Buffer mean = buffer({1, 2}), var = buffer({4, 0.5f});
  Buffer batches;
  batches.set(context.zeros({}, DType::int64));
  const auto options = [&](BatchNormOptions o) {
    o.running_mean = &mean;
    o.running_var = &var;
    o.num_batches_tracked = &batches;
    return o;
  };
  const auto step = [&](const Tensor& x, const BatchNormOptions& o) {
    Tape tape{context};
    batch_norm(tape.input(x), options(o));
    tape.commit();
  };
  const auto are = [&](double m0, double m1, double v0, double v1) {
    REQUIRE(mean.value().span<float>()[0] == Approx(m0));
    REQUIRE(mean.value().span<float>()[1] == Approx(m1));
    REQUIRE(var.value().span<float>()[0] == Approx(v0));
    REQUIRE(var.value().span<float>()[1] == Approx(v1));
  };
  step(context.empty({0, 2}), {});
  step(context.tensor({2, 2}, {1, NAN, 3, 4}), {});
  step(context.tensor({2, 2}, {1, INFINITY, 3, 4}), {.mask = context.full({2, 2}, 1)});
  step(context.tensor({2, 2}, {1, 2, 3, 4}), {.mask = context.tensor({1, 2}, {1, 0})});
  for (const RunningVariance kind : {RunningVariance::biased, RunningVariance::unbiased})
    step(context.tensor({2, 2}, {1, 1e21f, 3, -1e21f}), {.running_variance = kind});  // finite in double alone
  are(1, 2, 4, 0.5);
  REQUIRE(batches.value().item() == 0);
  const Tensor two = context.tensor({2, 2}, {1, 2, 3, 6});
  // What counts: 1, 3, 8 and 6, 6, 0.
  const Tensor x = context.tensor({4, 2}, {1, 6, 3, 6, 8, 0, NAN, -50});
  const Tensor mask = context.tensor({4, 1}, {1, 1, 1, 0});
  step(x, {.momentum = 0, .mask = mask});
  are(4, 4, 26.0 / 3, 8);
  step(x, {.momentum = 0, .running_variance = RunningVariance::unbiased, .mask = mask});
  are(4, 4, 13, 12);
  step(x, {.momentum = 0, .running_variance = RunningVariance::inverse_std, .epsilon = 1, .mask = mask});
  are(4, 4, 1 / std::sqrt(26.0 / 3 + 1), 1.0 / 3);
  REQUIRE(batches.value().item() == 3);
  // A value that was damaged spoils neither the others nor what follows it with no weight.
  mean.cell()->value.span<float>()[0] = INFINITY;
  step(two, {.momentum = 0.5});
  REQUIRE(mean.value().span<float>()[0] == INFINITY);
  REQUIRE(mean.value().span<float>()[1] == 4);
  step(two, {.momentum = 0});
  are(2, 4, 1, 4);
  // What is refused changes nothing.
  Tape tape{context}, other{context};
  const Var elsewhere = other.variable(context.zeros({2, 2}, DType::float64));
  for (const Tensor& every : {Tensor{}, context.full({}, 1)})
    REQUIRE_THROWS_AS(batch_norm(tape.variable(two), options({.momentum = 0.5, .mask = every, .residual = elsewhere})),
                      ArgumentError);
  tape.commit();
  are(2, 4, 1, 4);
}

TEST_CASE("batch_norm: running inverse deviations in evaluation") {
  Context context{{.threads = 1}};
  Buffer mean, inverse;
  mean.set(context.tensor({2}, {4, 4}));
  inverse.set(context.tensor({2}, {0.25f, 1.0f / 3}));
  const auto evaluate = [&] {
    return batch_norm(context.input(context.tensor({1, 2}, {5, 1})), {.training = false,
                                                                      .running_mean = &mean,
                                                                      .running_var = &inverse,
                                                                      .running_variance = RunningVariance::inverse_std,
                                                                      .epsilon = 1});
  };
  REQUIRE(evaluate().value().span<float>()[0] == Approx(0.25));
  REQUIRE(evaluate().value().span<float>()[1] == Approx(-1));
  inverse.cell()->value.span<float>()[1] = -1;
  REQUIRE_THROWS_WITH(evaluate(), contains("running_inv_std must not be negative; channel 1 has -1"));
}
