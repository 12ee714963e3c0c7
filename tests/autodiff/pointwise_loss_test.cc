#include "autodiff/ops/pointwise_loss.h"

#include <algorithm>
#include <cmath>

#include "autodiff/tape.h"
#include "kernels/error.h"
#include "kernels/reference/pointwise_loss.h"
#include "tests/catch.h"
#include "tests/support/loss_cases.h"
#include "tests/support/ops.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

constexpr Reduction kReductions[] = {Reduction::mean, Reduction::sum, Reduction::none, Reduction::batchmean};
const Shape kShapes[] = {
    {}, {1}, {2}, {7}, {3, 1}, {2, 9}, {4, 16}, {3, 17}, {2, 33}, {0, 4}, {2, 3, 4}, {2, 2, 3, 5}, {1, 2, 1, 2, 2, 3}};

// Calls body(case, shape, reduction) with all that belong together.
template <class Body>
void for_each_choice(const Body& body) {
  for (const LossCase& c : loss_cases())
    for (const Shape& shape : kShapes)
      for (Reduction reduction : kReductions) {
        const bool batchmean = reduction == Reduction::batchmean;
        if (batchmean && (!c.batchmean || shape.rank() == 0)) continue;
        if ((batchmean || reduction == Reduction::mean) && shape.size() == 0) continue;
        INFO(c.name << " of " << to_string(shape) << ", reduction " << static_cast<int>(reduction));
        body(c, shape, reduction);
      }
}

}  // namespace

TEST_CASE("pointwise losses: each formula has its case") {
  for (std::size_t kind = 0; kind < kernels::reference::PointwiseLosses::size; ++kind)
    REQUIRE(std::ranges::any_of(loss_cases(), [&](const LossCase& c) { return c.dims.kind == kind; }));
}

TEST_CASE("pointwise losses: gradients of x against a constant target with every reduction") {
  Context context{{.threads = 1}};
  for_each_choice([&](const LossCase& c, const Shape& shape, Reduction reduction) {
    if (!c.kinks.empty()) return;
    check_op(
        [&](std::span<const Var> v) {
          const Tensor target = context.uniform(shape, c.target_low, c.target_high, 1, DType::float32);
          return c.f(v[0], v[0].constant(target.to(v[0].dtype())), reduction);
        },
        {shape}, {.low = c.low, .high = c.high});
  });
}

TEST_CASE("pointwise losses: gradients of both sides with every reduction") {
  for_each_choice([](const LossCase& c, const Shape& shape, Reduction reduction) {
    if (c.kinks.empty() && c.of_difference)
      check_op([&](std::span<const Var> v) { return c.f(v[0], v[1], reduction); }, {shape, shape});
  });
}

// One side is a constant, so that it is known where the kinks are.
TEST_CASE("pointwise losses: gradients on both sides of each kink") {
  constexpr double kConstant = 0.25;
  Context context{{.threads = 1}};
  for_each_choice([&](const LossCase& c, const Shape& shape, Reduction reduction) {
    for (double kink : c.kinks)
      for (bool left : {true, false}) {
        const double at = kConstant + (left ? kink : -kink);
        check_op(
            [&](std::span<const Var> v) {
              const Var constant = v[0].constant(context.full(shape, kConstant, v[0].dtype()));
              return left ? c.f(v[0], constant, reduction) : c.f(constant, v[0], reduction);
            },
            {shape}, {.low = at - 2, .high = at + 2, .away_from = at});
      }
  });
}

TEST_CASE("pointwise losses: in double each is its formula, and every reduction that of its losses") {
  const Context context{{.threads = 1}};
  constexpr std::int64_t kRows = 20;
  for (const LossCase& c : loss_cases()) {
    const Var x = context.input(context.uniform({kRows, 50}, c.low, c.high, 1, DType::float64)),
              t = context.input(context.uniform({kRows, 50}, c.target_low, c.target_high, 2, DType::float64));
    const Tensor losses = c.f(x, t, Reduction::none).value();
    REQUIRE(losses.shape() == x.shape());
    double sum = 0;
    for (std::size_t i = 0; i < losses.span<double>().size(); ++i) {
      const double wanted = static_cast<double>(c.formula(x.value().span<double>()[i], t.value().span<double>()[i]));
      INFO(c.name << " of " << x.value().span<double>()[i] << " and " << t.value().span<double>()[i]);
      REQUIRE(std::abs(losses.span<double>()[i] - wanted) <= 1e-13 * (1 + std::abs(wanted)));
      sum += wanted;
    }
    REQUIRE(c.f(x, t, Reduction::sum).item() == Approx(sum).epsilon(1e-12));
    REQUIRE(c.f(x, t, Reduction::mean).item() == Approx(sum / (kRows * 50)).epsilon(1e-12));
    if (c.batchmean) REQUIRE(c.f(x, t, Reduction::batchmean).item() == Approx(sum / kRows).epsilon(1e-12));
  }
}

TEST_CASE("bce_with_logits: gradients with every weight and reduction") {
  Context context{{.threads = 1}};
  for (const Shape& shape : kShapes)
    for (Reduction reduction : {Reduction::mean, Reduction::sum, Reduction::none})
      for (int option = 0; option < 4; ++option) {
        if (shape.size() == 0 && reduction == Reduction::mean) continue;
        check_op(
            [&](std::span<const Var> v) {
              const auto random = [&](const Shape& of, double high, std::uint64_t stream) {
                return context.uniform(of, 0, high, stream, DType::float32).to(v[0].dtype());
              };
              const Shape last = shape.rank() > 0 ? Shape{shape[-1]} : Shape{};
              return bce_with_logits(v[0], random(shape, 1, 1),
                                     {.weight = (option & 1) != 0 ? random(shape, 2, 2) : Tensor{},
                                      .pos_weight = (option & 2) != 0 ? random(last, 3, 3) : Tensor{},
                                      .reduction = reduction});
            },
            {shape}, {.low = -4, .high = 4});
      }
}

TEST_CASE("pointwise losses: numbers of worked examples") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.tensor({2, 2}, {1, -2, 3, 0}));
  const Tensor t = context.tensor({2, 2}, {0, 0, 3, 0.5f});
  REQUIRE(mse_loss(x, t).item() == Approx(5.25 / 4));
  REQUIRE(mse_loss(x, t, {.reduction = Reduction::sum}).item() == 5.25);
  REQUIRE(l1_loss(x, t).item() == Approx(3.5 / 4));
  REQUIRE(l1_loss(x, t, {.reduction = Reduction::none}).value().shape() == Shape{2, 2});
  REQUIRE(huber_loss(x, t, {.reduction = Reduction::sum}).item() == Approx(0.5 + 1.5 + 0.125));
  REQUIRE(huber_loss(x, t, {.delta = 0.5, .reduction = Reduction::sum}).item() == Approx(0.375 + 0.875 + 0.125));
  const Var logits = context.input(context.tensor({2}, {0, 1000}));
  const Tensor ones = context.tensor({2}, {1, 1});
  REQUIRE(bce_with_logits(logits, ones, {.reduction = Reduction::sum}).item() == Approx(std::log(2)));
  REQUIRE(bce_with_logits(logits, context.zeros({2}), {.reduction = Reduction::sum}).item() ==
          Approx(1000 + std::log(2)));
  REQUIRE(bce_with_logits(logits, ones, {.weight = context.tensor({1}, {3}), .reduction = Reduction::sum}).item() ==
          Approx(3 * std::log(2)));
  REQUIRE(
      bce_with_logits(logits, ones, {.pos_weight = context.tensor({2}, {5, 1}), .reduction = Reduction::sum}).item() ==
      Approx(5 * std::log(2)));
  const Var q = context.input(context.tensor({1, 2}, {std::log(0.5f), std::log(0.5f)}));
  const Tensor p = context.tensor({1, 2}, {1, 0});
  REQUIRE(kl_div(q, p, {.reduction = Reduction::batchmean}).item() == Approx(std::log(2)));
  REQUIRE(kl_div(q, p).item() == Approx(std::log(2) / 2));
}

TEST_CASE("pointwise losses: the slope at a tie is 0, and a million elements keep their mean") {
  Context context{{.threads = 2}};
  Tape tape{context};
  const Var x = tape.variable(context.tensor({3}, {1, 2, 3}));
  const Gradients gradients = tape.backward(l1_loss(x, context.tensor({3}, {1, 0, 5}), {.reduction = Reduction::sum}));
  const Tensor dx = gradients[x];
  REQUIRE((dx.span<float>()[0] == 0 && dx.span<float>()[1] == 1 && dx.span<float>()[2] == -1));
  const Var many = context.input(context.full({1000000}, 0.1));
  REQUIRE(std::abs(l1_loss(many, context.zeros({1000000})).item() / static_cast<double>(0.1f) - 1) < 2e-7);
}

TEST_CASE("pointwise losses: shapes, types, options and empty means are refused by name") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.zeros({3, 4})), none = context.input(context.zeros({0, 4}));
  const Tensor t = context.zeros({3, 4});
  const auto zeros = [&](const Shape& shape, DType dtype = DType::float32) {
    return context.input(context.zeros(shape, dtype));
  };
  for (const LossCase& c : loss_cases()) {
    const auto named = [&](const std::string& message) { return contains(c.name + message); };
    REQUIRE_THROWS_AS(c.f(x, zeros({4}), Reduction::mean), ShapeError);
    REQUIRE_THROWS_WITH(c.f(x, zeros({4}), Reduction::mean), contains("loss_cases.cc:"));
    REQUIRE_THROWS_WITH(c.f(x, zeros({4}), Reduction::mean),
                        named(": x and target must have one shape; they are [3, 4] and [4]"));
    REQUIRE_THROWS_WITH(c.f(x, zeros({3, 4}, DType::float64), Reduction::mean),
                        named(": x is float32, target is float64"));
    REQUIRE_THROWS_WITH(c.f(none, none, Reduction::mean), named(": the mean of no losses is not defined"));
    REQUIRE(c.f(none, none, Reduction::sum).item() == 0);
    if (!c.batchmean)
      REQUIRE_THROWS_WITH(c.f(x, x, Reduction::batchmean), named(": batchmean is a reduction of kl_div only"));
    for (const LossRefusal& refusal : c.refused) {
      REQUIRE_THROWS_AS(refusal.f(x, x), ArgumentError);
      REQUIRE_THROWS_WITH(refusal.f(x, x), contains("loss_cases.cc:") && contains(refusal.message));
    }
    REQUIRE_THROWS_AS(c.f(x, Var{}, Reduction::mean), ArgumentError);
    REQUIRE_THROWS_AS(c.f(Var{}, x, Reduction::mean), ArgumentError);
    REQUIRE_THROWS_AS(c.f(zeros({2}, DType::int64), zeros({2}, DType::int64), Reduction::mean), ArgumentError);
  }
  REQUIRE_THROWS_WITH(kl_div(context.input(context.zeros({})), context.zeros({}), {.reduction = Reduction::batchmean}),
                      contains("batchmean needs an axis"));
  REQUIRE_THROWS_AS(bce_with_logits(x, t, {.pos_weight = context.zeros({3})}), ShapeError);
  REQUIRE_THROWS_AS(bce_with_logits(x, t, {.weight = context.zeros({2, 3, 4})}), ShapeError);
  REQUIRE_THROWS_WITH(bce_with_logits(x, t, {.weight = context.zeros({2, 3, 4})}),
                      contains("cannot be stretched to x [3, 4]"));
  REQUIRE_THROWS_WITH(bce_with_logits(x, t, {.weight = context.zeros({4}, DType::float64)}),
                      contains("weight is float64"));
}
