#include "autodiff/ops/elementwise.h"

#include <cmath>

#include "tests/catch.h"
#include "tests/support/ops.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

using Pair = std::vector<Shape>;
const std::vector<Pair>& pairs() {
  static const std::vector<Pair> all = {{Shape{}, Shape{}},
                                        {Shape{1}, Shape{7}},
                                        {Shape{5}, Shape{5}},
                                        {Shape{4, 3}, Shape{3}},
                                        {Shape{4, 1}, Shape{1, 5}},
                                        {Shape{17}, Shape{}},
                                        {Shape{2, 3, 4}, Shape{3, 1}},
                                        {Shape{1, 3, 1}, Shape{2, 1, 4}},
                                        {Shape{3, 2, 2, 9}, Shape{3, 1, 2, 9}},
                                        {Shape{2, 1, 3, 1, 2, 1}, Shape{1, 2, 1, 2, 1, 3}},
                                        {Shape{0, 3}, Shape{3}},
                                        {Shape{33, 2}, Shape{33, 1}},
                                        {Shape{3}, Shape{2, 1, 3}},
                                        {Shape{2, 19}, Shape{2, 19}}};
  return all;
}

// On all pairs of shapes, and each side alone against a number.
void check_pairs(const std::function<Var(const Operand&, const Operand&)>& f, OpCheck check = {}, double number = 0.7) {
  for (const Pair& pair : pairs()) {
    check_op([&](std::span<const Var> in) { return f(in[0], in[1]); }, pair, check);
    check_op([&](std::span<const Var> in) { return f(in[0], number); }, {pair[0]}, check);
    check_op([&](std::span<const Var> in) { return f(number, in[0]); }, {pair[1]}, check);
  }
}

}  // namespace

TEST_CASE("operators + - * /: gradients over all broadcasts") {
  check_pairs([](const Operand& a, const Operand& b) { return a + b; });
  check_pairs([](const Operand& a, const Operand& b) { return a - b; });
  check_pairs([](const Operand& a, const Operand& b) { return a * b; });
  check_pairs([](const Operand& a, const Operand& b) { return a / b; }, {.low = 0.5, .high = 2});
}

TEST_CASE("unary minus: gradients") {
  for (const Pair& pair : pairs()) check_op([](std::span<const Var> in) { return -in[0]; }, {pair[0]});
}

TEST_CASE("minimum, maximum: gradients away from ties") {
  // Sides that differ by a fixed order of magnitude keep the differences of gradcheck off the kink.
  for (const Pair& pair : pairs()) {
    check_op([](std::span<const Var> in) { return minimum(in[0], in[1]); }, pair, {.seed = 3});
    check_op([](std::span<const Var> in) { return maximum(in[0], in[1]); }, pair, {.seed = 3});
    check_op([](std::span<const Var> in) { return maximum(in[0], 0.0); }, {pair[0]}, {.away_from = 0});
    check_op([](std::span<const Var> in) { return minimum(0.25, in[0]); }, {pair[1]}, {.away_from = 0.25});
  }
}

TEST_CASE("pow: gradients of base and exponent") {
  check_pairs([](const Operand& a, const Operand& b) { return pow(a, b); }, {.low = 0.5, .high = 2});
  for (const Pair& pair : pairs())
    for (double exponent : {0.0, 1.0, 2.0, 3.0})  // whole powers of negative numbers
      check_op([&](std::span<const Var> in) { return pow(in[0], exponent); }, {pair[0]});
}

TEST_CASE("where: gradients go to the side that was taken") {
  for (const Pair& pair : pairs())
    check_op([](std::span<const Var> in) { return where(less(in[0].detach(), 0.1), in[0] * 2.0, in[1]); }, pair,
             {.away_from = 0.1});
}

TEST_CASE("minimum, maximum, where, pow: ties and edges have the documented gradients") {
  Context context{{.threads = 1}};
  Tape tape{context};
  const Var a = tape.variable(context.tensor({3}, {1, 2, NAN})), b = tape.variable(context.tensor({3}, {1, 1, 5}));
  const Var y = maximum(a, b) + minimum(a, b) * 4;
  const Gradients gradients = tape.backward(y, context.full({3}, 2));
  const Tensor grad_a = gradients[a], grad_b = gradients[b];
  const auto da = grad_a.span<float>(), db = grad_b.span<float>();
  REQUIRE((da[0] == 5 && da[1] == 2 && da[2] == 5));
  REQUIRE((db[0] == 5 && db[1] == 8 && db[2] == 5));
  REQUIRE(std::isnan(y.value().span<float>()[2]));

  Tape second{context};
  const Var zero = second.variable(context.tensor({3}, {0, 0, 0})), e = second.variable(context.tensor({3}, {0, 1, 2}));
  const Gradients edges = second.backward(pow(zero, e), context.full({3}, 1));
  const Tensor grad_z = edges[zero], grad_e = edges[e];
  const auto dz = grad_z.span<float>(), de = grad_e.span<float>();
  REQUIRE((dz[0] == 0 && dz[1] == 1 && dz[2] == 0));
  REQUIRE((de[0] == 0 && de[1] == 0 && de[2] == 0));
}

TEST_CASE("comparisons: int64 without a gradient, broadcast") {
  Context context{{.threads = 1}};
  for (DType dtype : {DType::float32, DType::float64}) {
    const Var a = context.input(context.tensor({2, 1}, {1, 2}).to(dtype)),
              b = context.input(context.tensor({2}, {1, 2}).to(dtype));
    const auto values = [](const Tensor& t) {
      REQUIRE(t.dtype() == DType::int64);
      REQUIRE(t.shape() == Shape{2, 2});
      const auto span = t.span<std::int64_t>();
      return std::vector<std::int64_t>(span.begin(), span.end());
    };
    using Row = std::vector<std::int64_t>;
    REQUIRE(values(equal(a, b)) == Row{1, 0, 0, 1});
    REQUIRE(values(not_equal(a, b)) == Row{0, 1, 1, 0});
    REQUIRE(values(less(a, b)) == Row{0, 1, 0, 0});
    REQUIRE(values(less_equal(a, b)) == Row{1, 1, 0, 1});
    REQUIRE(values(greater(a, b)) == Row{0, 0, 1, 0});
    REQUIRE(values(greater_equal(a, b)) == Row{1, 0, 1, 1});
    REQUIRE(less(1.5, a).span<std::int64_t>()[1] == 1);
  }
}

TEST_CASE("elementwise: errors name the op, the line, the rule and the shapes") {
  Context context{{.threads = 1}};
  const Var a = context.input(context.zeros({3, 4})), b = context.input(context.zeros({5}));
  REQUIRE_THROWS_AS(a + b, ShapeError);
  REQUIRE_THROWS_WITH(a + b, contains("elementwise_test.cc") && contains("add: [3, 4] and [5] cannot be broadcast"));
  REQUIRE_THROWS_WITH(a / b, contains("divide: "));
  REQUIRE_THROWS_WITH(less(a, b), contains("less: "));
  REQUIRE_THROWS_WITH(where(context.zeros({7}), a, 1.0), contains("where: "));
  REQUIRE_THROWS_WITH(where(Tensor(), a, 1.0), contains("where: the mask holds nothing"));
  REQUIRE_THROWS_AS(a * context.input(context.zeros({3, 4}, DType::float64)), ArgumentError);
  REQUIRE_THROWS_WITH(a * context.input(context.zeros({4}, DType::float64)),
                      contains("multiply: the types differ: float32 and float64"));
  REQUIRE_THROWS_WITH(-context.input(context.zeros({4}, DType::int64)),
                      contains("needs float32 or float64, got int64"));
  REQUIRE_THROWS_WITH(a - Var(), contains("subtract: an input holds nothing"));
  REQUIRE_THROWS_WITH(minimum(1.0, 2.0), contains("minimum: one side must be a Var"));
}
