#include "autodiff/ops/pointwise_loss.h"

#include <cmath>

#include "autodiff/tape.h"
#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/ops.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

constexpr Reduction kReductions[] = {Reduction::mean, Reduction::sum, Reduction::none};
const Shape kShapes[] = {
    {}, {1}, {2}, {7}, {3, 1}, {2, 9}, {4, 16}, {3, 17}, {2, 33}, {0, 4}, {2, 3, 4}, {2, 2, 3, 5}, {1, 2, 1, 2, 2, 3}};

}  // namespace

TEST_CASE("mse_loss, l1_loss and huber_loss: gradients of both sides with every reduction") {
  Context context{{.threads = 1}};
  for (const Shape& shape : kShapes)
    for (Reduction reduction : kReductions) {
      if (shape.size() == 0 && reduction == Reduction::mean) continue;
      check_op([&](std::span<const Var> v) { return mse_loss(v[0], v[1], {.reduction = reduction}); }, {shape, shape});
      check_op(
          [&](std::span<const Var> v) {
            return mse_loss(v[0], v[0].constant(context.full(shape, 0.5, v[0].dtype())), {.reduction = reduction});
          },
          {shape});
      // One side is a constant, so that the kinks are known.
      for (bool left : {true, false}) {
        const auto pair = [&, left](auto loss, const Var& v, double constant) {
          const Var c = v.constant(context.full(shape, constant, v.dtype()));
          return left ? loss(v, c) : loss(c, v);
        };
        check_op(
            [&](std::span<const Var> v) {
              return pair([&](const Var& a, const Var& b) { return l1_loss(a, b, {.reduction = reduction}); }, v[0],
                          0.25);
            },
            {shape}, {.away_from = 0.25});
        check_op(
            [&](std::span<const Var> v) {
              return pair(
                  [&](const Var& a, const Var& b) { return huber_loss(a, b, {.delta = 1.5, .reduction = reduction}); },
                  v[0], -0.5);
            },
            {shape}, {.low = -1, .high = 3, .away_from = 1});
      }
    }
}

TEST_CASE("bce_with_logits: gradients with every weight and reduction") {
  Context context{{.threads = 1}};
  for (const Shape& shape : kShapes)
    for (Reduction reduction : kReductions)
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

TEST_CASE("kl_div: gradients for probabilities and their logarithms with every reduction") {
  Context context{{.threads = 1}};
  for (const Shape& shape : kShapes)
    for (Reduction reduction : {Reduction::mean, Reduction::sum, Reduction::none, Reduction::batchmean})
      for (bool log_target : {false, true}) {
        if (reduction == Reduction::batchmean && shape.rank() == 0) continue;
        if (shape.size() == 0 && (reduction == Reduction::mean || reduction == Reduction::batchmean)) continue;
        check_op(
            [&](std::span<const Var> v) {
              const Tensor target = context.uniform(shape, log_target ? -3 : 0, log_target ? 0 : 1, 1, DType::float32);
              return kl_div(v[0], target.to(v[0].dtype()), {.log_target = log_target, .reduction = reduction});
            },
            {shape}, {.low = -3, .high = -0.1});
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
  REQUIRE_THROWS_AS(mse_loss(x, context.zeros({4})), ShapeError);
  REQUIRE_THROWS_WITH(mse_loss(x, context.zeros({4})),
                      contains("mse_loss: x and target must have one shape; they are [3, 4] and [4]"));
  REQUIRE_THROWS_WITH(l1_loss(x, context.zeros({3, 4}, DType::float64)), contains("x is float32, target is float64"));
  REQUIRE_THROWS_WITH(mse_loss(none, context.zeros({0, 4})), contains("the mean of no losses is not defined"));
  REQUIRE(mse_loss(none, context.zeros({0, 4}), {.reduction = Reduction::sum}).item() == 0);
  REQUIRE_THROWS_WITH(mse_loss(x, t, {.reduction = Reduction::batchmean}),
                      contains("batchmean is a reduction of kl_div only"));
  REQUIRE_THROWS_WITH(kl_div(context.input(context.zeros({})), context.zeros({}), {.reduction = Reduction::batchmean}),
                      contains("batchmean needs an axis"));
  REQUIRE_THROWS_AS(mse_loss(x, Tensor{}), ArgumentError);
  REQUIRE_THROWS_AS(kl_div(Var{}, t), ArgumentError);
  REQUIRE_THROWS_AS(huber_loss(context.input(context.zeros({2}, DType::int64)), context.zeros({2}, DType::int64)),
                    ArgumentError);
  for (double delta : {0.0, -1.0, std::nan(""), double{INFINITY}})
    REQUIRE_THROWS_WITH(huber_loss(x, t, {.delta = delta}), contains("delta must be positive and finite"));
  REQUIRE_THROWS_AS(bce_with_logits(x, t, {.pos_weight = context.zeros({3})}), ShapeError);
  REQUIRE_THROWS_AS(bce_with_logits(x, t, {.weight = context.zeros({2, 3, 4})}), ShapeError);
  REQUIRE_THROWS_WITH(bce_with_logits(x, t, {.weight = context.zeros({2, 3, 4})}),
                      contains("cannot be stretched to x [3, 4]"));
  REQUIRE_THROWS_WITH(bce_with_logits(x, t, {.weight = context.zeros({4}, DType::float64)}),
                      contains("weight is float64"));
}
