#include "autodiff/ops/matmul.h"

#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/ops.h"

using namespace tapestry;
using namespace tapestry::test;

TEST_CASE("matmul: gradients in every transpose, alone, in batches and with a shared right side") {
  struct Case {
    std::int64_t m, n, k;
  };
  constexpr Case cases[] = {{1, 1, 1},  {2, 3, 4},  {5, 1, 3}, {1, 7, 2},  {3, 3, 1},  {8, 5, 6},
                            {4, 17, 3}, {16, 2, 9}, {7, 7, 7}, {3, 33, 2}, {15, 4, 5}, {2, 16, 16}};
  for (const Case& c : cases)
    for (int option = 0; option < 4; ++option) {
      const MatmulOptions options{.transpose_a = (option & 1) != 0, .transpose_b = (option & 2) != 0};
      const Shape a = options.transpose_a ? Shape{c.k, c.m} : Shape{c.m, c.k},
                  b = options.transpose_b ? Shape{c.n, c.k} : Shape{c.k, c.n};
      const OpFunction f = [&](std::span<const Var> in) { return matmul(in[0], in[1], options); };
      check_op(f, {a, b});
      check_op(f, {a.prepend(3), b.prepend(3)});
      check_op(f, {a.prepend(2).prepend(2), b});
    }
}

TEST_CASE("linear: gradients with and without bias, with leading axes") {
  for (std::int64_t in : {1, 3, 17})
    for (std::int64_t out : {1, 5, 33})
      for (const Shape& lead : {Shape{1}, Shape{4}, Shape{2, 3}, Shape{}}) {
        std::vector<std::int64_t> sizes(lead.begin(), lead.end());
        sizes.push_back(in);
        const Shape x{std::span<const std::int64_t>(sizes)};
        check_op([](std::span<const Var> v) { return linear(v[0], v[1]); }, {x, {in, out}});
        check_op([](std::span<const Var> v) { return linear(v[0], v[1], v[2]); }, {x, {in, out}, {out}});
      }
}

TEST_CASE("linear: the same weight used twice collects both gradients") {
  check_op([](std::span<const Var> v) { return linear(linear(v[0], v[1], v[2]), v[1], v[2]); }, {{3, 4}, {4, 4}, {4}});
  check_op([](std::span<const Var> v) { return matmul(v[0], v[0]); }, {{5, 5}});
}

TEST_CASE("matmul: the same left side used twice collects both gradients, in every transpose") {
  for (int option = 0; option < 4; ++option) {
    const MatmulOptions options{.transpose_a = (option & 1) != 0, .transpose_b = (option & 2) != 0};
    check_op([&](std::span<const Var> v) { return matmul(v[0], matmul(v[0], v[1], options), options); },
             {{4, 4}, {4, 4}});
  }
}

TEST_CASE("matmul and linear: shapes and types that do not fit are refused with both shapes and the line") {
  Context context{{.threads = 1}};
  const auto in = [&](const Shape& shape, DType dtype = DType::float32) {
    return context.input(context.zeros(shape, dtype));
  };
  REQUIRE_THROWS_AS(matmul(in({2, 3}), in({4, 5})), ShapeError);
  REQUIRE_THROWS_WITH(matmul(in({2, 3}), in({4, 5})),
                      contains("matmul_test.cc:") && contains("matmul: ") && contains("[2, 3]") && contains("[4, 5]"));
  REQUIRE_THROWS_WITH(matmul(in({3}), in({3, 5})), contains("two axes"));
  REQUIRE_THROWS_WITH(matmul(in({2, 2, 3}), in({4, 3, 5})), contains("leading axes"));
  REQUIRE_THROWS_AS(matmul(in({2, 3}), in({3, 4}, DType::float64)), ArgumentError);
  REQUIRE_THROWS_AS(matmul(in({2, 3}, DType::int64), in({3, 4}, DType::int64)), ArgumentError);
  REQUIRE_THROWS_WITH(linear(in({2, 3}), in({4, 5})),
                      contains("linear_test.cc:") || (contains("x is [2, 3]") && contains("weight is [4, 5]")));
  REQUIRE_THROWS_WITH(linear(in({2, 3}), in({3, 5}), in({4})), contains("bias must be [5]"));
  REQUIRE_THROWS_AS(linear(in({}), in({3, 5})), ShapeError);
}

TEST_CASE("matmul and linear: sizes of zero") {
  Context context{{.threads = 1}};
  Tape tape{context};
  const Var x = tape.variable(context.zeros({0, 3})), w = tape.variable(context.full({3, 2}, 1)),
            b = tape.variable(context.full({2}, 1));
  const Var y = linear(x, w, b);
  REQUIRE(y.shape() == Shape{0, 2});
  const Gradients gradients = tape.backward(y, y.value().like());
  const Tensor dw = gradients[w];
  for (float value : dw.span<float>()) REQUIRE(value == 0);
  const Tensor empty_sums = matmul(context.input(context.zeros({2, 0})), context.input(context.zeros({0, 3}))).value();
  for (float value : empty_sums.span<float>()) REQUIRE(value == 0);
}
