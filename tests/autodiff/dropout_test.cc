#include "autodiff/ops/dropout.h"

#include <cmath>

#include "autodiff/tape.h"
#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

std::vector<float> dropped(Context& context, std::uint64_t step, std::int64_t size = 1000) {
  Tape tape{context, {.step = step}};
  const Tensor y = dropout(tape.variable(context.full({size}, 1))).value();
  return {y.span<float>().begin(), y.span<float>().end()};
}

}  // namespace

TEST_CASE("dropout: the gradient passes where the input passed, times 1 / (1 - p)") {
  const Shape shapes[] = {{},      {1},    {7},       {3, 1},  {2, 9},       {4, 16},   {3, 17},
                          {2, 33}, {0, 4}, {2, 3, 4}, {65, 3}, {2, 2, 3, 5}, {300, 300}};
  for (Target target : tested_targets())
    for (DType dtype : {DType::float32, DType::float64})
      for (const Shape& shape : shapes)
        for (double p : {0.0, 0.3, 0.9, 1.0}) {
          Context context{{.threads = 2, .seed = 5, .target = target}};
          Tape tape{context};
          const Var x = tape.variable(context.full(shape, 1, dtype));
          const Var y = dropout(x, {.p = p});
          const Tensor ones = context.full(shape, 1, dtype), dx = tape.backward(y, ones)[x];  // y is linear in x
          const Tensor a = y.value().to(DType::float64), b = dx.to(DType::float64);
          for (std::size_t i = 0; i < a.span<double>().size(); ++i) {
            REQUIRE(a.span<double>()[i] == b.span<double>()[i]);
            REQUIRE((a.span<double>()[i] == 0 || std::abs(a.span<double>()[i] * (1 - p) - 1) < 1e-6));
          }
          count_case(target);
        }
}

TEST_CASE("dropout: choices depend on seed, step and place, not on threads, targets or earlier runs") {
  Context one{{.threads = 1, .seed = 3}}, seven{{.threads = 7, .seed = 3}}, other{{.threads = 1, .seed = 4}};
  REQUIRE(dropped(one, 0, 100000) == dropped(seven, 0, 100000));
  REQUIRE(dropped(one, 8) == dropped(one, 8));
  REQUIRE(dropped(one, 8) != dropped(one, 9));
  REQUIRE(dropped(one, 8) != dropped(other, 8));
  Tape tape{one};
  const Var x = tape.variable(one.full({1000}, 1));
  const Tensor a = dropout(x).value(), b = dropout(x).value();
  REQUIRE_FALSE(std::ranges::equal(a.span<float>(), b.span<float>()));
  const Var constant = tape.input(one.full({1000}, 1));  // nothing is recorded for it
  const Tensor c = dropout(constant).value(), d = dropout(constant).value();
  REQUIRE_FALSE(std::ranges::equal(c.span<float>(), d.span<float>()));
}

TEST_CASE("dropout: p outside [0, 1], whole numbers and nothing at all are refused") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.zeros({8, 10}));
  for (double p : {-0.1, 1.1, std::nan("")}) REQUIRE_THROWS_AS(dropout(x, {.p = p}), ArgumentError);
  REQUIRE_THROWS_WITH(dropout(x, {.p = 1.5}), contains("dropout: p must be in [0, 1]; it is 1.5"));
  REQUIRE_THROWS_AS(dropout(context.input(context.zeros({3}, DType::int64))), ArgumentError);
  REQUIRE_THROWS_AS(dropout(Var{}), ArgumentError);
}

TEST_CASE("dropout: each tape of a hand-written loop draws another mask, and a given step the same") {
  Context context{{.threads = 1, .seed = 3}};
  const Tensor ones = context.full({200}, 1);
  const auto mask = [&](TapeOptions options) {
    Tape tape{context, options};
    return dropout(tape.input(ones), {.p = 0.5}).value();
  };
  const Tensor first = mask({}), second = mask({}), third = mask({.step = 7}), fourth = mask({.step = 7});
  REQUIRE_FALSE(std::ranges::equal(first.span<float>(), second.span<float>()));
  REQUIRE(std::ranges::equal(third.span<float>(), fourth.span<float>()));
}
