#include "autodiff/ops/local_response.h"

#include <cmath>
#include <limits>

#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/ops.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

TEST_CASE("local_response_norm: gradients for every window and scaling") {
  const Shape shapes[] = {{1},    {7},    {3, 1},    {1, 5},     {2, 9},       {4, 16},   {3, 17},
                          {0, 4}, {4, 0}, {2, 3, 4}, {1, 2, 33}, {2, 2, 2, 6}, {5, 1, 3}, {2, 1, 2, 1, 2, 3}};
  for (const Shape& shape : shapes)
    for (std::int64_t size : {1, 2, 5})
      for (ResponseScaling scaling : {ResponseScaling::mean, ResponseScaling::sum}) {
        const LocalResponseNormOptions options{.size = size, .alpha = 0.4, .k = 1.5, .scaling = scaling};
        check_op([&](std::span<const Var> x) { return local_response_norm(x[0], options); }, {shape},
                 {.low = -2, .high = 2});
      }
  for (double beta : {0.5, 1.0, 1.7, -0.4, 0.0})
    check_op([&](std::span<const Var> x) { return local_response_norm(x[0], {.size = 3, .alpha = 2, .beta = beta}); },
             {{2, 7}}, {.low = -2, .high = 2});
}

TEST_CASE("local_response_norm: even windows reach further back, and alpha is divided by the size") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.tensor({1, 4}, {1, 2, 3, 4}));
  const auto found = [&](const LocalResponseNormOptions& options) {
    const Tensor y = local_response_norm(x, options).value();
    return std::vector<float>(y.span<float>().begin(), y.span<float>().end());
  };
  // Windows of 2: squares 1, 1 + 4, 4 + 9, 9 + 16.
  const double sums[] = {1, 5, 13, 25};
  const auto even = found({.size = 2, .alpha = 4, .beta = 1, .k = 3});
  const auto whole = found({.size = 2, .alpha = 4, .beta = 1, .k = 3, .scaling = ResponseScaling::sum});
  for (std::size_t i = 0; i < 4; ++i) {
    REQUIRE(even[i] == Approx(static_cast<double>(i + 1) / (3 + 2 * sums[i])));
    REQUIRE(whole[i] == Approx(static_cast<double>(i + 1) / (3 + 4 * sums[i])));
  }
  // A window that is wider than the row is the whole row, but alpha is divided by its size.
  for (float y : found({
           .size = std::numeric_limits<std::int64_t>::max(),
    .beta = 1,
    .scaling = ResponseScaling::sum,
       }))
    REQUIRE(y > 0);
  REQUIRE(found({.size = 99, .alpha = 99, .beta = 1})[1] == Approx(2.0 / 31));
}

TEST_CASE("local_response_norm: neupy's value of ones, and large numbers in double") {
  Context context{{.threads = 1}};
  const Var ones = context.input(context.full({1, 1, 1, 1}, 1));
  const Var y = local_response_norm(ones, {.size = 11, .k = 2, .scaling = ResponseScaling::sum});
  REQUIRE(y.item() == Approx(0.59458).margin(5e-6));
  for (double large : {1e100, 1e160, 1e200}) {
    const Var x = context.input(context.full({2, 3}, large, DType::float64));
    const Var z = local_response_norm(x, {.size = 1});
    for (double value : z.value().span<double>())
      REQUIRE(value / (1e3 * std::pow(large, -0.5)) == Approx(1).epsilon(1e-12));
  }
}

TEST_CASE("local_response_norm: results are the same bits at any number of threads") {
  Context one{{.threads = 1}}, seven{{.threads = 7}};
  const Tensor x = one.normal({600, 7, 40}, 0, 3, 1);
  const auto run = [&](Context& context) {
    Tape tape{context};
    const Var leaf = tape.variable(x);
    const Var y = local_response_norm(leaf, {.size = 5, .alpha = 1});
    return std::pair(y.value(), tape.backward(y, x)[leaf]);
  };
  const auto a = run(one), b = run(seven);
  REQUIRE(std::ranges::equal(a.first.span<float>(), b.first.span<float>()));
  REQUIRE(std::ranges::equal(a.second.span<float>(), b.second.span<float>()));
}

TEST_CASE("local_response_norm: bad options are refused") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.zeros({2, 3}));
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN(), kInf = std::numeric_limits<double>::infinity();
  REQUIRE_THROWS_WITH(local_response_norm(x, {}), contains("local_response_norm: size must be positive; it is 0"));
  REQUIRE_THROWS_WITH(local_response_norm(x, {.size = -5}), contains("local_response_test.cc:"));
  REQUIRE_THROWS_WITH(local_response_norm(x, {.size = 5, .k = 0}), contains("k must be positive and finite; it is 0"));
  REQUIRE_THROWS_WITH(local_response_norm(x, {.size = 5, .alpha = -1}),
                      contains("alpha must be finite and not negative; it is -1"));
  REQUIRE_THROWS_WITH(local_response_norm(x, {.size = 5, .beta = kNaN}), contains("beta must be finite; it is nan"));
  for (double bad : {kNaN, kInf}) {
    REQUIRE_THROWS_AS(local_response_norm(x, {.size = 5, .alpha = bad}), ArgumentError);
    REQUIRE_THROWS_AS(local_response_norm(x, {.size = 5, .beta = bad}), ArgumentError);
    REQUIRE_THROWS_AS(local_response_norm(x, {.size = 5, .k = bad}), ArgumentError);
  }
  REQUIRE_THROWS_AS(local_response_norm(Var{}, {.size = 5}), ArgumentError);
  REQUIRE_THROWS_AS(local_response_norm(context.input(context.zeros({})), {.size = 5}), ShapeError);
  REQUIRE_THROWS_AS(local_response_norm(context.input(context.zeros({3}, DType::int64)), {.size = 5}), ArgumentError);
}
