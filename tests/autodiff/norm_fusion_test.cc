// What norms take from the ops around them: a bias that the mean takes away again, and max pooling.
#include <cmath>
#include <limits>

#include "autodiff/gradcheck.h"
#include "autodiff/ops/elementwise.h"
#include "autodiff/ops/norm.h"
#include "autodiff/tape.h"
#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/ops.h"

using namespace tapestry;
using test::check_op;

TEST_CASE("input_bias: gradients of batch, instance and group norm") {
  const std::vector<Shape> shapes[] = {{{4, 3}, {3}}, {{2, 5, 3}, {3}}, {{3, 2, 2, 4}, {4}}, {{2, 3, 2, 2, 17}, {17}}};
  for (const auto& list : shapes) {
    check_op([](std::span<const Var> v) { return batch_norm(v[0], {.input_bias = v[1]}); }, list);
    check_op(
        [](std::span<const Var> v) { return batch_norm(v[0], {.activation = Activation::silu, .input_bias = v[1]}); },
        list);
    if (list[0].rank() == 2) continue;
    check_op([](std::span<const Var> v) { return instance_norm(v[0], {.input_bias = v[1]}); }, list);
    const std::int64_t channels = list[1][0];
    check_op([=](std::span<const Var> v) { return group_norm(v[0], {.num_groups = channels, .input_bias = v[1]}); },
             list);
    check_op([](std::span<const Var> v) { return group_norm(v[0], {.num_groups = 1, .input_bias = v[1]}); }, list);
  }
}

TEST_CASE("input_bias: it is added where no mean takes it away") {
  Context context{{.threads = 1}};
  Buffer mean, var;
  mean.set(context.tensor({2}, {1, 2}));
  var.set(context.tensor({2}, {4, 9}));
  const Var x = context.input(context.uniform({4, 3, 2}, -1, 1, 1)), bias = context.input(context.tensor({2}, {5, -3}));
  const auto same = [](const Var& a, const Var& b) {
    for (std::int64_t i = 0; i < a.value().size(); ++i) {
      const auto at = static_cast<std::size_t>(i);
      REQUIRE(a.value().span<float>()[at] == Approx(b.value().span<float>()[at]).margin(1e-6));
    }
  };
  const BatchNormOptions frozen{.training = false, .running_mean = &mean, .running_var = &var};
  BatchNormOptions biased = frozen;
  biased.input_bias = bias;
  same(batch_norm(x, biased), batch_norm(x + bias, frozen));
  const Tensor mask = context.tensor({4, 3, 1}, {1, 1, 0, 1, 0, 1, 1, 1, 1, 0, 1, 1});
  same(batch_norm(x, {.mask = mask, .input_bias = bias}), batch_norm(x + bias, {.mask = mask}));
  same(group_norm(x, {.num_groups = 1, .input_bias = bias}), group_norm(x + bias, {.num_groups = 1}));
}

TEST_CASE("input_bias: the running mean moves by it, and what is not finite is not hidden") {
  Context context{{.threads = 1}};
  for (DType dtype : {DType::float32, DType::float64}) {
    Buffer mean, var;
    mean.set(context.zeros({2}, dtype));
    var.set(context.full({2}, 1, dtype));
    Tape tape{context};
    const Var x = tape.input(context.tensor({2, 2}, {1, 10, 3, 40}).to(dtype));
    const Var bias = tape.variable(context.tensor({2}, {100, -20}).to(dtype));
    BatchNormOptions options{.running_mean = &mean, .running_var = &var, .momentum = 0.5, .input_bias = bias};
    const Var y = batch_norm(x, options);
    const Gradients gradients = tape.backward(y, context.tensor({2, 2}, {1, 2, 3, 5}).to(dtype));
    for (double value : {0, 1})
      REQUIRE(gradients[bias].to(DType::float64).span<double>()[static_cast<std::size_t>(value)] == 0);
    tape.commit();
    const Tensor found = mean.value().to(DType::float64);
    REQUIRE(found.span<double>()[0] == 51);
    REQUIRE(found.span<double>()[1] == 2.5);
  }
  const Var x = context.input(context.tensor({2, 2}, {1, 10, 3, 40}));
  const Var bias = context.input(context.tensor({2}, {std::numeric_limits<float>::infinity(), 0}));
  const Var y = batch_norm(x, {.input_bias = bias});
  REQUIRE(std::isnan(y.value().span<float>()[0]));
  REQUIRE(y.value().span<float>()[1] == Approx(-1).epsilon(1e-5));
}

TEST_CASE("input_bias: it has the size of the last axis") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.zeros({4, 3, 2})), bias = context.input(context.zeros({3}));
  REQUIRE_THROWS_AS(batch_norm(x, {.input_bias = bias}), ShapeError);
  REQUIRE_THROWS_AS(instance_norm(x, {.input_bias = bias}), ShapeError);
  REQUIRE_THROWS_AS(group_norm(x, {.num_groups = 2, .input_bias = bias}), ShapeError);
}

TEST_CASE("norm pool: gradients of batch, instance and group norm") {
  const auto norms = [](const Shape& x, const PoolWindows& pool, std::uint64_t seed) {
    const std::vector<Shape> shapes{x, {x[-1]}, {x[-1]}};
    for (Activation activation : {Activation::none, Activation::silu, Activation::relu}) {
      const test::OpCheck check{.seed = seed};  // one with which no ReLU and no two elements are at a kink
      check_op(
          [=](std::span<const Var> v) {
            return batch_norm(v[0], v[1], v[2], {.activation = activation, .pool = pool});
          },
          shapes, check);
      check_op(
          [=](std::span<const Var> v) {
            return instance_norm(v[0], v[1], v[2], {.activation = activation, .pool = pool});
          },
          shapes, check);
      check_op(
          [=](std::span<const Var> v) {
            return group_norm(v[0], v[1], v[2], {.num_groups = 2, .activation = activation, .pool = pool});
          },
          shapes, check);
    }
  };
  norms({3, 6, 4}, Sizes<1>(3), 2);
  norms({2, 4, 6, 2}, Sizes<2>(2), 1);
  norms({2, 4, 6, 6}, Sizes<2>(2, 3), 1);
  norms({1, 2, 4, 4, 4}, Sizes<3>(2), 1);
  norms({2, 5, 5, 2}, Sizes<2>(2), 3);
}

TEST_CASE("norm pool: it is max_pool of the norm, with the same bits at any number of threads") {
  std::vector<float> bits;
  for (int threads : {1, 2, 3, 7})
    for (bool fuse : {true, false}) {
      Context context{{.threads = threads, .fuse = fuse}};
      Tape tape{context};
      const Var x = tape.variable(context.normal({9, 32, 28, 24}, 0, 1, 1));
      const Var weight = tape.variable(context.normal({24}, 0, 1, 2)),
                bias = tape.variable(context.normal({24}, 0, 1, 3));
      const Var y = batch_norm(x, weight, bias, {.activation = Activation::relu, .pool = Sizes<2>(2)});
      REQUIRE(y.shape() == Shape{9, 16, 14, 24});
      const Gradients gradients = tape.backward(y, context.normal(y.shape(), 0, 1, 4));
      std::vector<float> found;
      for (const Tensor& tensor : {y.value(), gradients[x], gradients[weight], gradients[bias]}) {
        const auto values = tensor.span<float>();
        found.insert(found.end(), values.begin(), values.end());
      }
      if (bits.empty()) bits = found;
      if (fuse)
        REQUIRE(found == bits);
      else
        for (std::size_t i = 0; i < bits.size(); ++i)
          REQUIRE(std::abs(found[i] - bits[i]) <= 2e-6 * (4 + std::abs(bits[i])));
    }
}

TEST_CASE("norm pool: windows are checked as those of max_pool are") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.zeros({4, 6, 6, 2}));
  REQUIRE_THROWS_AS(batch_norm(x, {.pool = Sizes<2>(0)}), ArgumentError);
  REQUIRE_THROWS_AS(group_norm(x, {.num_groups = 2, .pool = Sizes<2>(7)}), ShapeError);
  REQUIRE_THROWS_AS(instance_norm(x, {.pool = Sizes<3>(2)}), ShapeError);
}
