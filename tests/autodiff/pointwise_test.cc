#include "autodiff/ops/pointwise.h"

#include <algorithm>
#include <cmath>

#include "autodiff/map.h"
#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/ops.h"
#include "tests/support/pointwise_cases.h"

using namespace tapestry;
using namespace tapestry::test;

TEST_CASE("pointwise: each formula has its case") {
  for (std::size_t op = 0; op < pointwise::count(); ++op) {
    INFO("op " << pointwise::signature(static_cast<pointwise::Op>(op)).name);
    REQUIRE(std::ranges::count(pointwise_cases(), static_cast<pointwise::Op>(op), &PointwiseCase::op) > 0);
  }
}

TEST_CASE("pointwise: gradients, on both sides of each kink") {
  for (const PointwiseCase& c : pointwise_cases()) {
    INFO(c.name());
    // Some slopes come near 0 by cancellation.
    if (c.kinks.empty()) check_unary(c.f, {.low = c.slope_low, .high = c.slope_high, .tolerance = 5e-6});
    for (double kink : c.kinks) check_unary(c.f, {.low = kink - 2, .high = kink + 2, .away_from = kink});
  }
}

TEST_CASE("pointwise: in double each op is its formula") {
  const Context context{{.threads = 1}};
  constexpr std::int64_t kCount = 1000;
  for (const PointwiseCase& c : pointwise_cases())
    for (double reach : {1.0, 0.1, 1e-3}) {
      const Tensor x = context.uniform({kCount}, c.low * reach, c.high * reach, 1, DType::float64);
      const Tensor y = c.f(context.input(x)).value();
      for (std::size_t i = 0; i < kCount; ++i) {
        const double wanted = static_cast<double>(c.formula(x.span<double>()[i])), found = y.span<double>()[i];
        INFO(c.name() << " of " << x.span<double>()[i] << " is " << found << ", not " << wanted);
        REQUIRE(std::abs(found - wanted) <= 1e-13 * std::abs(wanted) + 1e-16);
      }
    }
}

TEST_CASE("pointwise: the same names serve numbers and Vars") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.full({1}, 1, DType::float64));
  REQUIRE(exp(x).item() == exp(1.0));
  REQUIRE(abs(x).item() == abs(-1.0));
  REQUIRE(sqrt(x).item() == sqrt(1.0));
}

TEST_CASE("pointwise: bad options and types are refused by name and line") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.zeros({2}));
  for (const PointwiseCase& c : pointwise_cases()) {
    for (const Refusal& refusal : c.refused) {
      REQUIRE_THROWS_AS(refusal.f(x), ArgumentError);
      REQUIRE_THROWS_WITH(refusal.f(x), contains("_cases.cc:") && contains(refusal.message));
    }
    REQUIRE_THROWS_AS(c.f(Var()), ArgumentError);
    REQUIRE_THROWS_WITH(c.f(context.input(context.zeros({2}, DType::int64))),
                        contains("_cases.cc:") && contains(pointwise::signature(c.op).name) &&
                            contains("the input is int64; float32 and float64 work"));
  }
}
