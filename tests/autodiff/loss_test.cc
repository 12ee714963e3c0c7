#include "autodiff/ops/loss.h"

#include <cmath>
#include <limits>

#include "autodiff/ops/softmax.h"
#include "autodiff/tape.h"
#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/ops.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

constexpr Reduction kReductions[] = {Reduction::mean, Reduction::sum, Reduction::none};

Tensor numbers(const Context& context, std::initializer_list<std::int64_t> values) {
  return context.tensor({static_cast<std::int64_t>(values.size())},
                        std::span<const std::int64_t>(values.begin(), values.size()));
}

// Labels for scores of this shape; every fourth is `ignored`.
Tensor labels_for(const Context& context, const Shape& scores, std::int64_t ignored) {
  Tensor labels = context.empty(Shape(scores.sizes().first(static_cast<std::size_t>(scores.rank() - 1))), DType::int64);
  std::int64_t i = 0;
  for (std::int64_t& label : labels.span<std::int64_t>()) {
    label = i % 4 == 3 ? ignored : i * 5 % scores[-1];
    ++i;
  }
  return labels;
}

Tensor weights_for(const Context& context, std::int64_t classes, DType dtype) {
  return context.uniform({classes}, 0.25, 2, 9, DType::float32).to(dtype);
}

}  // namespace

TEST_CASE("cross_entropy: gradients with every option") {
  Context context{{.threads = 1}};
  const Shape shapes[] = {{1},     {1, 1}, {1, 7},    {5, 2},       {8, 10}, {3, 17}, {2, 33},
                          {4, 16}, {6, 5}, {2, 3, 4}, {2, 2, 3, 5}, {9, 3},  {0, 3}};
  for (const Shape& shape : shapes)
    for (Reduction reduction : kReductions)
      for (double smoothing : {0.0, 0.2, 1.0})
        for (bool weighted : {false, true}) {
          if (shape.size() == 0 && reduction == Reduction::mean) continue;
          const Tensor labels = labels_for(context, shape, 1);
          check_op(
              [&](std::span<const Var> x) {
                return cross_entropy(x[0], labels,
                                     {.label_smoothing = smoothing,
                                      .ignore_index = 1,
                                      .weight = weighted ? weights_for(context, shape[-1], x[0].dtype()) : Tensor{},
                                      .reduction = reduction});
              },
              {shape}, {.low = -3, .high = 3, .float_too = shape[-1] > 1});  // of one class all results are 0
        }
}

TEST_CASE("cross_entropy: worked examples of every reduction, weights, smoothing and ignored samples") {
  Context context{{.threads = 1}};
  const Var flat = context.input(context.zeros({2, 2}));
  const double log2 = std::log(2.0);
  REQUIRE(cross_entropy(flat, numbers(context, {0, 1})).item() == Approx(log2));
  REQUIRE(cross_entropy(flat, numbers(context, {0, 1}), {.reduction = Reduction::sum}).item() == Approx(2 * log2));
  REQUIRE(cross_entropy(flat, numbers(context, {0, -100})).item() == Approx(log2));
  REQUIRE(cross_entropy(flat, numbers(context, {0, -100}), {.reduction = Reduction::sum}).item() == Approx(log2));
  const Tensor weight = context.tensor({2}, {1, 3});
  REQUIRE(cross_entropy(flat, numbers(context, {1, 1}), {.weight = weight, .reduction = Reduction::sum}).item() ==
          Approx(6 * log2));
  // 0.9 * 1 + 0.1 / 2 * (1 + 3) = 1.1 a sample; the mean divides by the weights of the labels, 1 + 1.
  const CrossEntropyOptions both{.label_smoothing = 0.1, .weight = weight};
  REQUIRE(cross_entropy(flat, numbers(context, {0, 0}), both).item() == Approx(1.1 * log2));
  // 0.9 * 3 + 0.2 over a weight of 3.
  REQUIRE(cross_entropy(flat, numbers(context, {1, -100}), both).item() == Approx(2.9 / 3 * log2));
  const Tensor each = cross_entropy(flat, numbers(context, {-100, 1}), {.reduction = Reduction::none}).value();
  REQUIRE(each.shape() == Shape{2});
  REQUIRE(each.span<float>()[0] == 0);
  REQUIRE(each.span<float>()[1] == Approx(log2));
  const Var one = context.input(context.tensor({3}, {1, 2, 3}));
  REQUIRE(cross_entropy(one, context.full({}, 0, DType::int64)).item() == Approx(2.40760596));
}

TEST_CASE("cross_entropy: huge logits stay finite and small differences between large logits count") {
  Context context{{.threads = 1}};
  const auto loss = [&](std::initializer_list<float> logits, std::int64_t label) {
    return cross_entropy(context.input(context.tensor({1, 3}, logits)), numbers(context, {label})).item();
  };
  REQUIRE(loss({1e38f, -1e38f, 0}, 0) == 0);
  REQUIRE(loss({1e38f, -1e38f, 0}, 1) == Approx(2e38));
  REQUIRE(loss({10000, 10001, 10002}, 0) == Approx(2.40760596));
  REQUIRE(std::isnan(loss({std::numeric_limits<float>::quiet_NaN(), 0, 0}, 1)));
  REQUIRE(loss({-std::numeric_limits<float>::infinity(), 0, 0}, 1) == Approx(std::log(2.0)));
  REQUIRE(loss({-std::numeric_limits<float>::infinity(), 0, 0}, 0) == std::numeric_limits<double>::infinity());
}

TEST_CASE("cross_entropy: results are the same bits at any number of threads") {
  Context one{{.threads = 1}}, seven{{.threads = 7}};
  const Tensor x = one.normal({5000, 40}, 0, 3, 1), labels = labels_for(one, x.shape(), -100);
  const auto run = [&](Context& context) {
    Tape tape{context};
    const Var logits = tape.variable(x);
    const Var loss = cross_entropy(logits, labels, {.label_smoothing = 0.1});
    return std::pair{loss.item(), tape.backward(loss)[logits]};
  };
  const auto a = run(one), b = run(seven);
  REQUIRE(a.first == b.first);
  REQUIRE(std::ranges::equal(a.second.span<float>(), b.second.span<float>()));
}

TEST_CASE("cross_entropy: bad labels, shapes, types and options are refused by name") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.zeros({3, 4}));
  const Tensor labels = numbers(context, {0, 1, 2});
  REQUIRE_THROWS_AS(cross_entropy(x, numbers(context, {0, 4, 1})), ArgumentError);
  REQUIRE_THROWS_WITH(cross_entropy(x, numbers(context, {0, 4, 1})), contains("label 4 of sample 1 is not in [0, 4)"));
  REQUIRE_THROWS_WITH(cross_entropy(x, numbers(context, {0, 1, -1})), contains("label -1 of sample 2"));
  REQUIRE_THROWS_AS(cross_entropy(x, numbers(context, {0, 1})), ShapeError);
  REQUIRE_THROWS_WITH(cross_entropy(x, numbers(context, {0, 1})), contains("they are [3, 4] and [2]"));
  REQUIRE_THROWS_WITH(cross_entropy(x, context.zeros({3})), contains("labels must be int64; they are float32"));
  REQUIRE_THROWS_AS(cross_entropy(x, labels, {.label_smoothing = 1.5}), ArgumentError);
  REQUIRE_THROWS_WITH(cross_entropy(x, labels, {.label_smoothing = -0.1}),
                      contains("label_smoothing must be in [0, 1]"));
  REQUIRE_THROWS_WITH(cross_entropy(x, labels, {.label_smoothing = std::nan("")}), contains("label_smoothing"));
  REQUIRE_THROWS_WITH(cross_entropy(x, labels, {.weight = context.zeros({3})}), contains("weight must be [4]"));
  REQUIRE_THROWS_WITH(cross_entropy(x, labels, {.weight = context.zeros({4}, DType::float64)}),
                      contains("weight is float64"));
  REQUIRE_THROWS_WITH(cross_entropy(x, labels, {.weight = context.zeros({4})}), contains("have weight 0"));
  REQUIRE_THROWS_WITH(cross_entropy(x, labels, {.weight = context.tensor({4}, {1, 1, 1, std::nanf("")})}),
                      contains("the weight of class 3 is nan"));
  REQUIRE_THROWS_WITH(cross_entropy(x, numbers(context, {-100, -100, -100})), contains("all 3 samples are ignored"));
  REQUIRE_THROWS_WITH(cross_entropy(context.input(context.zeros({0, 4})), context.zeros({0}, DType::int64)),
                      contains("the mean of an empty batch is not defined"));
  REQUIRE_THROWS_AS(cross_entropy(Var{}, labels), ArgumentError);
  REQUIRE_THROWS_AS(cross_entropy(x, Tensor{}), ArgumentError);
}

TEST_CASE("nll_loss: gradients with every option, and cross_entropy as nll_loss of log_softmax") {
  Context context{{.threads = 1}};
  const Shape shapes[] = {{1},     {1, 1}, {1, 7},    {5, 2},       {8, 10}, {3, 17}, {2, 33},
                          {4, 16}, {6, 5}, {2, 3, 4}, {2, 2, 3, 5}, {9, 3},  {0, 3}};
  for (const Shape& shape : shapes)
    for (Reduction reduction : kReductions)
      for (bool weighted : {false, true}) {
        if (shape.size() == 0 && reduction == Reduction::mean) continue;
        const Tensor labels = labels_for(context, shape, 1);
        const auto weight = [&](DType dtype) { return weighted ? weights_for(context, shape[-1], dtype) : Tensor{}; };
        const OpFunction nll = [&](std::span<const Var> v) {
          return nll_loss(v[0], labels, {.ignore_index = 1, .weight = weight(v[0].dtype()), .reduction = reduction});
        };
        check_op(nll, {shape}, {.low = -3, .high = 0});
        const Var x = context.input(context.normal(shape, 0, 2, 3, DType::float64)), log_p = log_softmax(x);
        const Tensor a = nll(std::span(&log_p, 1)).value();
        const Tensor b =
            cross_entropy(x, labels, {.ignore_index = 1, .weight = weight(DType::float64), .reduction = reduction})
                .value();
        for (std::size_t i = 0; i < a.span<double>().size(); ++i)
          REQUIRE(std::abs(a.span<double>()[i] - b.span<double>()[i]) < 1e-12);
      }
}

TEST_CASE("nll_loss: bad labels, shapes and reductions are refused by name") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.zeros({3, 4}));
  REQUIRE_THROWS_WITH(nll_loss(x, numbers(context, {0, 4, 1})),
                      contains("nll_loss: label 4 of sample 1 is not in [0, 4)"));
  REQUIRE_THROWS_AS(nll_loss(x, numbers(context, {0, 1})), ShapeError);
  REQUIRE_THROWS_WITH(nll_loss(x, numbers(context, {-100, -100, -100})), contains("all 3 samples are ignored"));
  REQUIRE_THROWS_WITH(nll_loss(x, numbers(context, {0, 1, 2}), {.weight = context.zeros({3})}),
                      contains("weight must be [4]"));
  REQUIRE_THROWS_WITH(nll_loss(x, numbers(context, {0, 1, 2}), {.reduction = Reduction::batchmean}),
                      contains("batchmean"));
}
