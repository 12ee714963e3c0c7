#include "autodiff/ops/moments.h"

#include <cmath>

#include "autodiff/ops/cast.h"
#include "autodiff/ops/elementwise.h"
#include "autodiff/ops/pointwise.h"
#include "autodiff/ops/reduce.h"
#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/norm_case.h"
#include "tests/support/ops.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

using V = std::span<const Var>;

// Mean and variance as one number for each set, in x's type.
Var product(const Var& x, const MomentsOptions& options) {
  const Moments m = moments(x, options);
  return cast((m.mean + 1.5) * m.variance, x.dtype());
}

}  // namespace

TEST_CASE("moments: gradients over any axes, and with a mask") {
  for (const Shape& shape : awkward_shapes()) {
    if (shape.size() == 0) continue;
    check_op([&](V v) { return product(v[0], {}); }, {shape});
    for (int axis = 0; axis < shape.rank(); ++axis) {
      check_op([&](V v) { return cast(moments(v[0], {.axes = axis}).mean, v[0].dtype()); }, {shape});
      check_op([&](V v) { return cast(moments(v[0], {.axes = axis}).variance, v[0].dtype()); }, {shape});
      check_op([&](V v) { return product(v[0], {.axes = axis}); }, {shape});
    }
  }
  check_op([](V v) { return product(v[0], {}); }, {Shape{}});
  check_op([](V v) { return product(v[0], {.axes = {0, -1}}); }, {{3, 4, 5}});
  check_op([](V v) { return product(v[0], {.axes = {2, 1}}); }, {{3, 4, 5}});
  Context context{{.threads = 1}};
  const Tensor mask = context.tensor({4, 1}, {1, 0, 2, 1});
  check_op([&](V v) { return product(v[0], {.axes = 1, .mask = mask}); }, {{3, 4, 5}});
  check_op([&](V v) { return product(v[0], {.axes = {0, 1, 2}, .mask = mask}); }, {{3, 4, 5}});
}

TEST_CASE("moments: float64 with x's rank, the plain mean and variance, NaN where nothing counts") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.normal({3, 4, 5}, 2, 3, 1));
  const Moments m = moments(x, {.axes = {0, 2}});
  REQUIRE(m.mean.shape() == Shape{1, 4, 1});
  REQUIRE(m.variance.shape() == Shape{1, 4, 1});
  REQUIRE(m.mean.dtype() == DType::float64);
  const Var wide = cast(x, DType::float64);
  const Var mean = tapestry::mean(wide, {.axes = {0, 2}}), variance = var(wide, {.axes = {0, 2}, .correction = 0});
  for (std::size_t i = 0; i < 4; ++i) {
    REQUIRE(m.mean.value().span<double>()[i] == Approx(mean.value().span<double>()[i]).epsilon(1e-14));
    REQUIRE(m.variance.value().span<double>()[i] == Approx(variance.value().span<double>()[i]).epsilon(1e-14));
  }
  const Moments some = moments(x, {.axes = {1, 2}, .mask = context.tensor({3, 1, 1}, {1, 0, 1})});
  REQUIRE(std::isnan(some.mean.value().span<double>()[1]));
  REQUIRE(std::isfinite(some.variance.value().span<double>()[2]));
  const Moments whole = moments(context.input(context.full({2, 3}, 7, DType::int64)));
  REQUIRE(whole.mean.item() == 7);
  REQUIRE(whole.variance.item() == 0);
  REQUIRE(std::isnan(moments(context.input(context.zeros({0, 3})), {.axes = 0}).mean.value().span<double>()[0]));
  const Moments equal = moments(context.input(context.full({1000}, 1234.567)));
  REQUIRE(equal.mean.item() == static_cast<double>(1234.567f));
  REQUIRE(equal.variance.item() == 0);
}

TEST_CASE("normalize_with: gradients of x, mean, variance, weight and bias, of any shapes that stretch") {
  const auto check = [](const Shape& x, const Shape& mean, const Shape& variance, const Shape& weight,
                        const Shape& bias) {
    const auto of = [](V v) { return normalize_with(v[0], v[1], square(v[2]) + 0.25, v[3], v[4], {.epsilon = 1e-2}); };
    check_op(of, {x, mean, variance, weight, bias});
  };
  check({3, 4, 5}, {3, 1, 1}, {3, 1, 1}, {5}, {5});           // layer norm
  check({3, 4, 5}, {5}, {1, 1, 5}, {5}, {1, 1, 5});           // batch norm
  check({3, 4, 5}, {3, 1, 5}, {3, 1, 5}, {4, 5}, {5});        // instance norm
  check({3, 4, 5}, {3, 1, 1}, {1, 1, 5}, {3, 4, 5}, {1});     // mean and variance of different sets
  check({3, 4, 5}, {3, 4, 5}, {3, 4, 5}, {3, 1, 1}, {4, 1});  // of each element
  check({3, 4, 5}, {}, {}, {}, {});                           // of all
  check({2, 3, 2, 4}, {2, 1, 2, 1}, {2, 1, 2, 1}, {2, 4}, {3, 1, 1});
  check({7}, {1}, {1}, {7}, {7});
  check({33}, {33}, {1}, {1}, {33});
  check({1, 1}, {1, 1}, {1}, {1}, {1});
  check({}, {}, {}, {}, {});
  check({0, 3}, {3}, {3}, {3}, {3});
  check({2, 17}, {2, 1}, {2, 1}, {17}, {17});
  check_op([](V v) { return normalize_with(v[0], v[1], square(v[2]) + 0.25); }, {{3, 4, 5}, {3, 1, 1}, {3, 1, 1}});
  check_op([](V v) { return normalize_with(v[0], v[1], square(v[2]) + 0.25, v[3], {}); }, {{3, 5}, {3, 1}, {5}, {5}});
  check_op([](V v) { return normalize_with(v[0], v[1], square(v[2]) + 0.25, {}, v[3]); }, {{3, 5}, {3, 1}, {5}, {5}});
}

TEST_CASE("norms made of moments and normalize_with: y and gradients are those of the norms") {
  std::vector<Context> contexts;
  for (Target target : tested_targets()) contexts.emplace_back(ContextOptions{.threads = 2, .target = target});
  std::uint64_t seed = 0;
  for (const auto& [mean, std] : {std::pair{0.0, 1.0}, {1e4, 1e-2}, {1e6, 0.1}, {0.0, 1e19}, {-3e4, 1e-2}})
    for (NormCase c : {NormCase{.kind = NormKind::layer, .shape = {5, 64}},
                       NormCase{.kind = NormKind::layer, .shape = {3, 4, 17}, .axes = 2},
                       NormCase{.kind = NormKind::instance, .shape = {2, 3, 7, 5}},
                       NormCase{.kind = NormKind::instance, .shape = {2, 5, 16}, .mask = Shape{5, 1}},
                       NormCase{.kind = NormKind::batch_train, .shape = {4, 3, 5, 8}},
                       NormCase{.kind = NormKind::batch_train, .shape = {4096, 3}},
                       NormCase{.kind = NormKind::batch_train, .shape = {65536, 1}},
                       NormCase{.kind = NormKind::layer, .shape = {1, 65536}}}) {
      c.written = true;
      c.mean = mean;
      c.std = std;
      c.seed = ++seed;
      c.relu = seed % 3 == 0;
      const NormProblem problem = draw(c);
      const NormSolution expected = solve(problem);
      for (Context& context : contexts) {
        const auto complaint = judge(c, problem, expected, run(context, c, problem, DType::float32), 1e-6);
        INFO(target_name(context.target()) << ": " << complaint.value_or(""));
        REQUIRE(!complaint);
        count_case(context.target());
      }
      const auto complaint = judge(c, problem, expected, run(contexts[0], c, problem, DType::float64), 1e-10);
      INFO(complaint.value_or(""));
      REQUIRE(!complaint);
    }
}

TEST_CASE("moments and normalize_with: types, and what is refused") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.normal({3, 4}, 0, 1, 1)), wide = cast(x, DType::float64);
  const Moments m = moments(x, {.axes = 1});
  REQUIRE(normalize_with(x, m.mean, m.variance).dtype() == DType::float32);
  REQUIRE(normalize_with(wide, m.mean, m.variance).dtype() == DType::float64);
  REQUIRE(
      normalize_with(x, cast(m.mean, DType::float32), m.variance, x.constant(context.full({4}, 1, DType::float64)), {})
          .dtype() == DType::float64);
  const auto refused = [](const auto& call, const char* reason) {
    REQUIRE_THROWS_WITH(call(), contains("moments_test.cc:") && contains(reason));
  };
  refused([&] { moments(Var{}); }, "moments: the input holds nothing");
  refused([&] { moments(x, {.axes = 2}); }, "moments: axes names axis 2, x is [3, 4]");
  refused([&] { moments(x, {.axes = {1, -1}}); }, "moments: axes names axis -1 twice; x is [3, 4]");
  refused([&] { moments(x, {.mask = context.zeros({3})}); }, "moments: ");
  refused([&] { normalize_with(x, m.mean, {}); }, "normalize_with: mean and variance must be given");
  refused([&] { normalize_with(x, m.mean, m.variance, {.epsilon = 0}); }, "epsilon must be positive and finite");
  refused([&] { normalize_with(x, x.constant(context.zeros({3})), m.variance); },
          "normalize_with: mean must stretch to x [3, 4]; it is [3]");
  refused(
      [&] {
        normalize_with(x, m.mean, m.variance, {}, x.constant(context.zeros({1, 3, 4})));
      },
      "normalize_with: bias must stretch to x [3, 4]; it is [1, 3, 4]");
}
