// Calls out of order and values that change underfoot: refused, or without effect; never a crash or a wrong gradient.
#include <cmath>
#include <optional>

#include "autodiff/axes.h"
#include "autodiff/gradcheck.h"
#include "autodiff/ops/elementwise.h"
#include "autodiff/ops/gather.h"
#include "autodiff/ops/loss.h"
#include "autodiff/ops/matmul.h"
#include "autodiff/ops/norm.h"
#include "autodiff/ops/reduce.h"
#include "autodiff/record.h"
#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/ops.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

Parameter parameter(Tensor value) {
  Parameter made;
  made.cell()->name = "0.weight";
  made.set(std::move(value));
  return made;
}

}  // namespace

TEST_CASE("misuse: one value in two slots of an op collects both gradients, whatever the op does first") {
  check_op([](std::span<const Var> in) { return layer_norm(in[0], in[1] * 2, in[1] * 2); }, {{3, 4}, {4}});
  check_op(
      [](std::span<const Var> in) {
        const Var s = in[1] * 2;
        return layer_norm(in[0], s, s);
      },
      {{3, 4}, {4}});
  check_op([](std::span<const Var> in) { return layer_norm(in[0], in[0], in[0]); }, {{5}});
  check_op(
      [](std::span<const Var> in) {
        const Var y = in[0] * 2;
        return matmul(y, y) + y;
      },
      {{3, 3}});
}

TEST_CASE("misuse: an input or a frozen parameter that changed before backward is an error") {
  Context context{{.threads = 1}};
  Tensor data = context.tensor({2}, {1, 2});
  {
    Tape tape{context};
    const Var loss = sum(tape.variable(context.tensor({2}, {1, 1})) * tape.input(data));
    data.fill(100);
    REQUIRE_THROWS_WITH(tape.backward(loss), contains("was changed after it was recorded"));
  }
  Parameter frozen = parameter(context.tensor({2}, {3, 4}));
  frozen.freeze();
  Tape tape{context};
  const Var x = tape.variable(context.tensor({2}, {1, 1}));
  const Var loss = sum(x * frozen.on(x));
  frozen.assign(context.tensor({2}, {0, 0}));
  REQUIRE_THROWS_WITH(tape.backward(loss), contains("was changed after it was recorded"));
}

TEST_CASE("misuse: labels and indices that change later do not matter") {
  Context context{{.threads = 1}};
  Tensor labels = context.zeros({2}, DType::int64), index = context.zeros({1, 2}, DType::int64);
  Tape tape{context};
  const Var x = tape.variable(context.tensor({2, 2}, {1, 2, 3, 4}));
  const Var loss = cross_entropy(x, labels) + sum(gather(x, index, {.axis = 0})) + sum(gather_rows(x, labels));
  labels.fill(1 << 30);
  index.fill(1 << 30);
  const Gradients gradients = tape.backward(loss);
  const Tensor dx = gradients[x];
  REQUIRE(dx.span<float>()[0] == Approx(3 + 0.5 * (1 / (1 + std::exp(1.0)) - 1)));
}

TEST_CASE("misuse: a parameter is refused on a spent tape, and when it was replaced between two uses") {
  Context context{{.threads = 1}};
  const Parameter weight = parameter(context.full({2, 2}, 1)), other = parameter(context.full({2, 2}, 1));
  {
    Tape tape{context};
    const Var x = tape.input(context.full({2, 2}, 1));
    const Gradients gradients = tape.backward(sum(matmul(x, weight.on(x))));
    REQUIRE_THROWS_WITH(other.on(x), contains("backward() has been called"));
    REQUIRE(gradients.parameters().size() == 1);
  }
  Parameter replaced = parameter(context.full({2, 2}, 1));
  Tape tape{context};
  const Var x = tape.input(context.full({2, 2}, 1));
  const Var y = matmul(x, replaced.on(x));
  replaced.set(context.full({64, 64}, 1));
  REQUIRE_THROWS_WITH(replaced.on(x), contains("0.weight") && contains("replaced"));
}

TEST_CASE("misuse: a parameter that was moved from is refused, and its copies are as empty") {
  Context context{{.threads = 1}};
  Parameter from = parameter(context.full({2}, 1));
  const Parameter to = std::move(from);
  const Parameter copy = from;
  REQUIRE_FALSE((from.built() || copy.built()));
  REQUIRE_THROWS_WITH(copy.on(context.input(context.zeros({2}))), contains("was moved from"));
  REQUIRE_THROWS_AS(from.name(), ArgumentError);
  REQUIRE_THROWS_AS(from.value(), ArgumentError);
  REQUIRE_THROWS_AS(from.shape(), ArgumentError);
  REQUIRE_THROWS_AS(from.set(context.zeros({2})), ArgumentError);
  REQUIRE_THROWS_AS(from.assign(context.zeros({2})), ArgumentError);
  REQUIRE_THROWS_AS(from.freeze(), ArgumentError);
  REQUIRE_THROWS_AS(from.trainable(), ArgumentError);
  from = to;
  REQUIRE(from.value().span<float>()[1] == 1);
}

TEST_CASE("misuse: a buffer is not queued for a tape that is gone") {
  Context context{{.threads = 1}};
  Buffer buffer;
  buffer.set(context.full({1}, 1));
  std::optional<Tape> tape(std::in_place, context);
  const Var x = tape->input(context.zeros({1}));
  tape.reset();
  REQUIRE_THROWS_WITH(buffer.update(x, context.full({1}, 99)), contains("the tape of this input is gone"));
  Tape next{context};
  next.commit();
  REQUIRE(buffer.value().item() == 1);
}

TEST_CASE("misuse: a backward that hands on a gradient of another size or type is refused with the op's name") {
  Context context{{.threads = 1}};
  for (const Tensor& wrong : {context.full({65536}, 7), context.full({1}, 7), context.zeros({4}, DType::float64)}) {
    Tape tape{context};
    const Var x = tape.variable(context.zeros({4}));
    const Var y =
        record("wrong", x.value().clone(), {x}, {}, [wrong](const Tensor&, GradSlots grads) { grads.pass(0, wrong); });
    REQUIRE_THROWS_AS(tape.backward(y, context.zeros({4})), ShapeError);
  }
}

TEST_CASE("misuse: the gradient of a leaf itself is a copy") {
  Context context{{.threads = 1}};
  Tape tape{context};
  const Var x = tape.variable(context.zeros({2}));
  Tensor dy = context.full({2}, 3);
  const Gradients gradients = tape.backward(x, dy);
  dy.fill(9);
  const Tensor dx = gradients[x];
  REQUIRE(dx.span<float>()[1] == 3);
}

TEST_CASE("misuse: ops without inputs, tensors without memory, functions without a value") {
  Context context{{.threads = 1}};
  REQUIRE_THROWS_AS(record("f", context.zeros({1}), {}, {}, [](const Tensor&, GradSlots) {}), ArgumentError);
  REQUIRE_THROWS_AS(Tensor{}.like(), ArgumentError);
  REQUIRE_THROWS_AS(context.zeros({}).assign(Tensor{}), ArgumentError);
  REQUIRE_THROWS_AS(
      gradcheck(context, [](std::span<const Var>) { return Var{}; }, {context.zeros({1}, DType::float64)}),
      ArgumentError);
  Axes axes{0, 1, 2, 3, 4, 5};
  REQUIRE_THROWS_AS(axes.add(0), ShapeError);
}

TEST_CASE("misuse: a product of no matrices has a gradient of zeros") {
  Context context{{.threads = 1}};
  Tape tape{context};
  const Var a = tape.variable(context.zeros({0, 3, 2})), b = tape.variable(context.full({3, 4}, 1));
  const Var y = matmul(a, b, {.transpose_a = true});
  const Gradients gradients = tape.backward(y, y.value().like());
  const Tensor db = gradients[b];
  for (float value : db.span<float>()) REQUIRE(value == 0);
}
