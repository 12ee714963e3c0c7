#include "train/evaluate.h"

#include <cmath>
#include <limits>

#include "kernels/error.h"
#include "tests/catch.h"

using namespace tapestry;

namespace {

data::Dataset rows(Context& context, std::initializer_list<float> values, std::vector<std::int64_t> labels,
                   std::int64_t width) {
  const auto n = static_cast<std::int64_t>(labels.size());
  return data::Dataset(context.tensor({n, width}, values),
                       context.tensor(Shape{n}, std::span<const std::int64_t>(labels)));
}

const auto identity = [](const Var& x) { return x; };

}  // namespace

TEST_CASE("evaluate: loss, accuracy and confusion") {
  Context context{{.threads = 1}};
  const data::Dataset set = rows(context, {2, 1, 0, 0, 5, 1, 1, 3, 1, 0, 0, 7}, {0, 1, 0, 2}, 3);
  double expected = 0;
  const std::vector<std::vector<double>> x{{2, 1, 0}, {0, 5, 1}, {1, 3, 1}, {0, 0, 7}};
  const std::vector<std::size_t> y{0, 1, 0, 2};
  for (std::size_t i = 0; i < 4; ++i)
    expected += std::log(std::exp(x[i][0]) + std::exp(x[i][1]) + std::exp(x[i][2])) - x[i][y[i]];
  for (const std::int64_t size : {1, 3, 4, 100}) {
    const Evaluation result = evaluate(context, identity, set, {.batch_size = size});
    REQUIRE(result.loss == Approx(expected / 4).epsilon(1e-6));
    REQUIRE(result.accuracy == 0.75);
    REQUIRE(result.classes == 3);
    REQUIRE(result.confusion == std::vector<std::int64_t>{1, 1, 0, 0, 1, 0, 0, 0, 1});
    REQUIRE(result.recall(0) == 0.5);
    REQUIRE(result.recall(2) == 1);
  }
  REQUIRE(accuracy(context, identity, set) == 0.75);
  REQUIRE_THROWS_AS(evaluate(context, identity, set).count(3, 0), ArgumentError);
}

TEST_CASE("evaluate: NaN is no prediction, the first of equal logits is") {
  Context context{{.threads = 1}};
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Evaluation result = evaluate(context, identity, rows(context, {nan, 0, 0, nan, 1, 1}, {0, 1, 0}, 2));
  REQUIRE(result.accuracy == Approx(1.0 / 3));
  REQUIRE(std::isnan(result.loss));
  REQUIRE(result.confusion == std::vector<std::int64_t>{1, 0, 0, 0});
  REQUIRE(std::isnan(result.recall(1)));
}

TEST_CASE("evaluate: a model of double, and one that knows the mode") {
  Context context{{.threads = 1}};
  const data::Dataset set = rows(context, {2, 1, 0, 3}, {0, 1}, 2);
  REQUIRE(accuracy(
              context, [](const Var& x) { return x.constant(x.value().to(DType::float64)); }, set) == 1);
  REQUIRE(accuracy(
              context, [](const Var& x, Mode mode) { return mode == Mode::eval ? x : Var(); }, set) == 1);
}

TEST_CASE("evaluate: refusals") {
  Context context{{.threads = 1}};
  const data::Dataset set = rows(context, {2, 1, 0, 3}, {0, 1}, 2);
  REQUIRE_THROWS_WITH(evaluate(context, identity, set.take(0)),
                      contains("evaluate_test.cc:") && contains("evaluate: there is no example"));
  REQUIRE_THROWS_WITH(evaluate(
                          context, [](const Var& x) { return x.constant(x.value().reshape({4})); }, set),
                      contains("the model must give [2, classes], it gave [4]"));
  REQUIRE_THROWS_AS(evaluate(context, identity, set, {.batch_size = 0}), ArgumentError);
  REQUIRE_THROWS_AS(evaluate(context, identity, rows(context, {1, 1}, {0, 1}, 1)),
                    ArgumentError);  // label 1 of 1 class
}
