// Norms that pool what they give.
#include <cmath>

#include "autodiff/ops/norm.h"
#include "autodiff/tape.h"
#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/ops.h"

using namespace tapestry;
using test::check_op;

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
