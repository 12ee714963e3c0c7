#include "autodiff/ops/gather.h"

#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/ops.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

// Indices below `bound`, with repeats, in the memory of `x`.
Tensor indices(const Var& x, const Shape& shape, std::int64_t bound) {
  Tensor index = x.value().like(shape, DType::int64);
  const auto span = index.span<std::int64_t>();
  for (std::size_t i = 0; i < span.size(); ++i) span[i] = static_cast<std::int64_t>(i * 5 % 7) % bound;
  return index;
}

}  // namespace

TEST_CASE("gather: gradients along every axis, with repeated indices") {
  for (const Shape& shape :
       {Shape{1}, Shape{5}, Shape{3, 4}, Shape{2, 3, 4}, Shape{2, 1, 3, 2}, Shape{17, 3}, Shape{0, 3}})
    for (int axis = -shape.rank(); axis < shape.rank(); ++axis)
      for (std::int64_t count : {1, 4}) {
        if (shape[axis] == 0) continue;
        check_op(
            [&](std::span<const Var> in) {
              return gather(in[0], indices(in[0], shape.with(axis, count), shape[axis]), {.axis = axis});
            },
            {shape});
      }
}

TEST_CASE("gather_rows: gradients for indices of any rank, with repeats") {
  for (const Shape& table : {Shape{1}, Shape{6}, Shape{5, 3}, Shape{4, 2, 3}, Shape{7, 17}, Shape{3, 0}})
    for (const Shape& index : {Shape{}, Shape{1}, Shape{8}, Shape{2, 3}, Shape{0}})
      check_op([&](std::span<const Var> in) { return gather_rows(in[0], indices(in[0], index, table[0])); }, {table});
}

TEST_CASE("gather: values and shapes") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.tensor({2, 3}, {0, 1, 2, 3, 4, 5}));
  const std::int64_t picks[] = {2, 0, 1, 1};
  const Var y = gather(x, context.tensor({2, 2}, std::span<const std::int64_t>(picks)), {.axis = 1});
  REQUIRE(y.shape() == Shape{2, 2});
  REQUIRE((y.value().span<float>()[0] == 2 && y.value().span<float>()[1] == 0 && y.value().span<float>()[2] == 4));
  const Var rows = gather_rows(x, context.tensor({3, 1}, std::span<const std::int64_t>(picks + 1, 3)));
  REQUIRE(rows.shape() == Shape{3, 1, 3});
  REQUIRE((rows.value().span<float>()[0] == 0 && rows.value().span<float>()[3] == 3));
}

TEST_CASE("gather: errors name the op, the line, the index and its position") {
  Context context{{.threads = 1}};
  const Var x = context.input(context.zeros({2, 3}));
  const auto index = [&](const Shape& shape, std::int64_t last) {
    Tensor t = context.zeros(shape, DType::int64);
    t.span<std::int64_t>().back() = last;
    return t;
  };
  REQUIRE_THROWS_AS(gather_rows(x, index({4}, 2)), ArgumentError);
  REQUIRE_THROWS_WITH(
      gather_rows(x, index({4}, 2)),
      contains("gather_test.cc") && contains("gather_rows: index 2 at position 3 is outside [0, 2); x is [2, 3]"));
  REQUIRE_THROWS_WITH(gather_rows(x, index({4}, -1)), contains("index -1 at position 3"));
  REQUIRE_THROWS_WITH(gather(x, index({2, 2}, 3), {.axis = 1}),
                      contains("gather: index 3 at position 3 is outside [0, 3)"));
  REQUIRE_THROWS_WITH(gather(x, index({3, 2}, 0), {.axis = 1}),
                      contains("gather: x and index may differ in axis 1 only; x is [2, 3], index is [3, 2]"));
  REQUIRE_THROWS_WITH(gather(x, index({2, 2}, 0), {.axis = 2}), contains("gather: axis 2 does not exist in [2, 3]"));
  REQUIRE_THROWS_WITH(gather(x, context.zeros({2, 3})), contains("the index must be int64, got float32"));
  REQUIRE_THROWS_WITH(gather(x, Tensor()), contains("gather: an input holds nothing"));
  REQUIRE_THROWS_WITH(gather_rows(context.input(context.zeros({})), index({1}, 0)),
                      contains("gather_rows: needs a table with rows"));
}
