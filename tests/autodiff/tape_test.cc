#include "autodiff/tape.h"

#include <cmath>
#include <limits>
#include <optional>

#include "autodiff/ops/matmul.h"
#include "autodiff/record.h"
#include "kernels/error.h"
#include "tests/catch.h"

using namespace tapestry;

namespace {

// y = factor * x, elementwise.
Var scaled(const Var& x, float factor, Location where = std::source_location::current()) {
  Tensor y = x.value().like();
  for (std::size_t i = 0; i < y.span<float>().size(); ++i) y.span<float>()[i] = factor * x.value().span<float>()[i];
  return record("scaled", y, {x}, where, [factor](const Tensor& dy, GradSlots grads) {
    Tensor dx = grads.overwrite(0);
    for (std::size_t i = 0; i < dx.span<float>().size(); ++i) dx.span<float>()[i] = factor * dy.span<float>()[i];
  });
}

// y = a + b, elementwise, whose backward hands dy on.
Var plus(const Var& a, const Var& b) {
  Tensor y = a.value().like();
  for (std::size_t i = 0; i < y.span<float>().size(); ++i)
    y.span<float>()[i] = a.value().span<float>()[i] + b.value().span<float>()[i];
  return record("plus", y, {a, b}, {}, [](const Tensor& dy, GradSlots grads) {
    grads.pass(0, dy);
    grads.pass(1, dy);
  });
}

// y = factor * x, elementwise, whose backward adds to what is there.
Var scaled_by_adding(const Var& x, float factor) {
  Tensor y = x.value().like();
  for (std::size_t i = 0; i < y.span<float>().size(); ++i) y.span<float>()[i] = factor * x.value().span<float>()[i];
  return record("scaled", y, {x}, {}, [factor](const Tensor& dy, GradSlots grads) {
    Tensor dx = grads.add(0);
    for (std::size_t i = 0; i < dx.span<float>().size(); ++i) dx.span<float>()[i] += factor * dy.span<float>()[i];
  });
}

Parameter parameter(const Context& context, const char* name, float value) {
  Parameter made;
  made.cell()->name = name;
  made.set(context.tensor({1}, {value}));
  return made;
}

}  // namespace

TEST_CASE("tape: gradients of several uses add up, through ops that pass dy on as it is") {
  Context context{{.threads = 1}};
  Tape tape{context};
  const Var x = tape.variable(context.tensor({1}, {2}));
  const Var y = plus(plus(scaled(x, 3), x), plus(x, scaled(x, 5)));
  REQUIRE(y.item() == 20);
  const Gradients gradients = tape.backward(y);
  REQUIRE(gradients[x].item() == 10);
}

TEST_CASE("tape: a value handed on to two users is not spoiled when one of them adds to it") {
  Context context{{.threads = 1}};
  for (const auto& times : {+[](const Var&x, float factor) { return scaled(x, factor); }, +scaled_by_adding}) {
    Tape tape{context};
    const Var x = tape.variable(context.tensor({1}, {1})), z = tape.variable(context.tensor({1}, {1}));
    const Var b = times(z, 1), a = times(x, 1);
    const Var ten = times(a, 10);
    const Gradients gradients = tape.backward(plus(plus(a, b), ten));
    REQUIRE(gradients[x].item() == 11);
    REQUIRE(gradients[z].item() == 1);
  }
}

TEST_CASE("tape: a gradient to be added to starts from zeros, on memory that was used before") {
  Context context{{.threads = 1}};
  for (int round = 0; round < 3; ++round) {
    context.full({5}, 77);
    Tape tape{context};
    const Var x = tape.variable(context.full({5}, 1));
    const Tensor dy = context.full({5}, 2);
    const Gradients gradients = tape.backward(plus(scaled_by_adding(x, 3), scaled_by_adding(x, 4)), dy);
    const Tensor dx = gradients[x];
    for (float value : dx.span<float>()) REQUIRE(value == 14);
  }
}

TEST_CASE("tape: a leaf that the loss does not depend on has a gradient of zeros") {
  Context context{{.threads = 1}};
  Tape tape{context};
  const Var x = tape.variable(context.tensor({1}, {2})), z = tape.variable(context.tensor({2}, {1, 1}));
  const Gradients gradients = tape.backward(scaled(x, 3));
  const Tensor dz = gradients[z];
  REQUIRE(dz.span<float>()[1] == 0);
}

TEST_CASE("tape: detach and constants cut the gradient") {
  Context context{{.threads = 1}};
  Tape tape{context};
  const Var x = tape.variable(context.tensor({1}, {2}));
  const Gradients gradients = tape.backward(plus(scaled(x, 3), scaled(scaled(x, 2).detach(), 7)));
  REQUIRE(gradients[x].item() == 3);
}

TEST_CASE("tape: evaluation records nothing") {
  Context context{{.threads = 1}};
  const Var y = scaled(context.input(context.tensor({1}, {2})), 3);
  REQUIRE_FALSE(y.requires_grad());
  Tape tape{context};
  REQUIRE_FALSE(scaled(tape.input(context.tensor({1}, {2})), 3).requires_grad());
  REQUIRE(tape.nodes() == 0);
}

TEST_CASE("tape: what saved tensors held goes back to the arena as backward passes") {
  Context context{{.threads = 1}};
  const std::size_t before = context.memory().live_blocks;
  {
    Tape tape{context};
    Var x = tape.variable(context.full({1000, 1}, 1));
    const Var w = tape.variable(context.full({1, 1}, 1));
    Var y = x;
    for (int i = 0; i < 20; ++i) y = linear(y, w);
    const Var loss = matmul(y, y, {.transpose_a = true});
    y = {};
    const Gradients gradients = tape.backward(loss);
    REQUIRE(context.memory().live_blocks - before <= 6);  // x, w, the loss and the gradients of x and w
    REQUIRE(gradients[w].item() == 40 * 1000);
  }
  REQUIRE(context.memory().live_blocks == before);
}

TEST_CASE("tape: a step leaves no block behind, and later steps take no new memory") {
  Context context{{.threads = 1}};
  const auto step = [&] {
    Tape tape{context};
    const Var x = tape.variable(context.full({100}, 1));
    const Gradients gradients = tape.backward(scaled(plus(x, scaled(x, 2)), 2), context.full({100}, 1));
  };
  step();
  const Arena::Usage first = context.memory();
  for (int i = 0; i < 100; ++i) step();
  REQUIRE(context.memory().live_blocks == first.live_blocks);
  REQUIRE(context.memory().peak_bytes == first.peak_bytes);
  REQUIRE(context.memory().mapped_bytes == first.mapped_bytes);
}

TEST_CASE("tape: a chain of a million ops goes backward without recursion") {
  Context context{{.threads = 1}};
  Tape tape{context};
  const Var x = tape.variable(context.tensor({1}, {2}));
  Var y = x;
  for (int i = 0; i < 1'000'000; ++i) y = scaled(y, 1);
  REQUIRE(tape.backward(y)[x].item() == 1);
}

TEST_CASE("tape: backward refuses what cannot be, and the tape stays usable") {
  Context context{{.threads = 1}};
  Tape tape{context}, other{context};
  const Var x = tape.variable(context.tensor({2}, {1, 2}));
  REQUIRE_THROWS_AS(tape.backward(x), ShapeError);
  REQUIRE_THROWS_WITH(tape.backward(context.input(context.tensor({1}, {1}))), contains("not of this tape"));
  REQUIRE_THROWS_WITH(tape.backward(tape.input(context.tensor({1}, {1}))), contains("depends on no"));
  REQUIRE_THROWS_WITH(other.backward(x, context.zeros({2})), contains("not of this tape"));
  REQUIRE_THROWS_AS(tape.backward(x, context.zeros({3})), ShapeError);
  REQUIRE_THROWS_AS(tape.variable(context.zeros({2}, DType::int64)), ArgumentError);
  REQUIRE_THROWS_AS(tape.variable(Tensor{}), ArgumentError);
  const Var y = matmul(x.constant(context.full({1, 2}, 1)),
                       linear(context.input(context.zeros({2, 1})), context.input(context.zeros({1, 1}))));
  REQUIRE_FALSE(y.requires_grad());
  const Gradients gradients = tape.backward(scaled(x, 2), context.full({2}, 1));
  const Tensor dx = gradients[x];
  REQUIRE(dx.span<float>()[1] == 2);
  REQUIRE_THROWS_WITH(tape.backward(x, context.zeros({2})), contains("has been called"));
  REQUIRE_THROWS_WITH(scaled(x, 2), contains("takes no more ops"));
}

TEST_CASE("tape: a Var that outlived its tape keeps its value and is refused by ops") {
  Context context{{.threads = 1}};
  std::optional<Tape> tape(std::in_place, context);
  const Var y = scaled(tape->variable(context.tensor({1}, {2})), 3);
  tape.reset();
  REQUIRE(y.item() == 6);
  REQUIRE_THROWS_WITH(scaled(y, 2), contains("the tape of an input is gone"));
  Tape next{context};
  REQUIRE_THROWS_WITH(scaled(y, 2), contains("the tape of an input is gone"));
  REQUIRE_THROWS_AS(next.backward(y), ArgumentError);
}

TEST_CASE("tape: inputs from two tapes or two contexts, and empty ones, are refused") {
  Context context{{.threads = 1}}, other{{.threads = 1}};
  Tape tape{context}, second{context};
  const Var x = tape.variable(context.tensor({1}, {1})), z = second.variable(context.tensor({1}, {1}));
  REQUIRE_THROWS_WITH(plus(x, z), contains("two tapes"));
  REQUIRE_THROWS_WITH(plus(x, other.input(other.tensor({1}, {1}))), contains("two contexts"));
  REQUIRE_THROWS_AS(matmul(x, Var{}), Error);
}

TEST_CASE("tape: gradients and tensors outlive their context") {
  std::optional<Context> context(std::in_place, ContextOptions{.threads = 2});
  std::optional<Tape> tape(std::in_place, *context);
  const Var x = tape->variable(context->tensor({1}, {2}));
  const Gradients gradients = tape->backward(scaled(x, 3));
  const Tensor dx = gradients[x];
  tape.reset();
  context.reset();
  REQUIRE(gradients[x].item() == 3);
  REQUIRE(dx.item() == 3);
  REQUIRE(dx.like({5}).size() == 5);
}

TEST_CASE("tape: a leaf that was changed between forward and backward is named") {
  Context context{{.threads = 1}};
  const Parameter weight = parameter(context, "0.weight", 2);
  Tape tape{context};
  const Var y = scaled(weight.on(tape.input(context.tensor({1}, {1}))), 3);
  weight.cell()->value.span<float>()[0] = 5;
  REQUIRE_THROWS_WITH(tape.backward(y), contains("0.weight") && contains("changed"));
}

TEST_CASE("tape: a parameter is one leaf however often it is used; a frozen one is a constant") {
  Context context{{.threads = 1}};
  Parameter weight = parameter(context, "weight", 2), frozen = parameter(context, "frozen", 4);
  frozen.freeze();
  Tape tape{context};
  const Var x = tape.input(context.tensor({1}, {1}));
  const Var y = plus(plus(scaled(weight.on(x), 3), weight.on(x)), frozen.on(x));
  REQUIRE(y.item() == 12);
  const Gradients gradients = tape.backward(y);
  REQUIRE(gradients.parameters().size() == 1);
  REQUIRE(gradients[weight].item() == 4);
  REQUIRE_FALSE(gradients[frozen]);
}

TEST_CASE("tape: hundreds of parameters keep apart") {
  Context context{{.threads = 1}};
  std::vector<Parameter> all;
  for (int i = 0; i < 300; ++i) all.push_back(parameter(context, "p", static_cast<float>(i)));
  Tape tape{context};
  const Var x = tape.input(context.tensor({1}, {1}));
  Var y = x;
  for (int round = 0; round < 2; ++round)
    for (int i = 0; i < 300; ++i) y = plus(y, scaled(all[static_cast<std::size_t>(i)].on(x), static_cast<float>(i)));
  const Gradients gradients = tape.backward(y);
  REQUIRE(gradients.parameters().size() == 300);
  for (int i = 0; i < 300; ++i) REQUIRE(gradients[all[static_cast<std::size_t>(i)]].item() == 2 * i);
}

TEST_CASE("tape: buffers are queued in forward and written only on commit") {
  Context context{{.threads = 1}};
  Buffer mean;
  mean.cell()->name = "running_mean";
  mean.set(context.tensor({1}, {1}));
  const auto forward = [&](Tape& tape) {
    const Var x = tape.variable(context.tensor({1}, {1}));
    mean.update(x, context.tensor({1}, {5}));
    mean.update(x, context.tensor({1}, {7}));  // the last one of a step counts
    return scaled(x, 2);
  };
  {
    Tape tape{context};
    forward(tape);
    REQUIRE(mean.value().item() == 1);
  }
  REQUIRE(mean.value().item() == 1);  // a tape that was dropped leaves the model as it was
  {
    Tape tape{context};
    Gradients gradients = tape.backward(forward(tape));
    REQUIRE(mean.value().item() == 1);
    gradients.commit();
    REQUIRE(mean.value().item() == 7);
  }
  mean.assign(context.tensor({1}, {1}));
  Tape tape{context};
  forward(tape);
  tape.commit();
  REQUIRE(mean.value().item() == 7);
  mean.update(context.input(context.tensor({1}, {1})), context.tensor({1}, {9}));  // evaluation queues nothing
  REQUIRE(mean.value().item() == 7);
  REQUIRE_THROWS_AS(mean.update(tape.input(context.tensor({1}, {1})), context.zeros({2})), ShapeError);
}

TEST_CASE("tape: a loss that is not finite is refused; check_finite names the op, its layer and line") {
  Context context{{.threads = 1}};
  {
    Tape tape{context};
    const Var x = tape.variable(context.tensor({1}, {std::numeric_limits<float>::max()}));
    REQUIRE_THROWS_WITH(tape.backward(scaled(x, 10)), contains("inf"));
  }
  Tape tape{context, {.check_finite = true}};
  const Var x = tape.variable(context.tensor({1}, {std::numeric_limits<float>::max()}));
  const Location where(std::source_location::current(), context.intern("features.2"));
  REQUIRE_THROWS_AS(scaled(x, 10, where), NumericError);
  REQUIRE_THROWS_WITH(scaled(x, 10, where), contains("features.2 (tape_test.cc:") && contains("scaled: "));
}

TEST_CASE("tape: an exception inside backward leaves nothing behind") {
  Context context{{.threads = 1}};
  const std::size_t before = context.memory().live_blocks;
  {
    Tape tape{context};
    const Var x = tape.variable(context.full({10}, 1));
    const Tensor saved = context.full({10}, 1);
    const Var y = record("failing", x.value().clone(), {x}, {},
                         [saved](const Tensor&, GradSlots) { throw std::logic_error("no"); });
    REQUIRE_THROWS_AS(tape.backward(scaled(y, 2), context.full({10}, 1)), std::logic_error);
  }
  REQUIRE(context.memory().live_blocks == before);
}

TEST_CASE("tape: the trace sink sees every op forward and backward") {
  std::vector<std::string> events;
  Context context{{.threads = 1, .trace = [&](const TraceEvent& event) {
                     events.push_back(std::string(event.op.name) + (event.backward ? "'" : ""));
                   }}};
  Tape tape{context};
  const Var x = tape.variable(context.tensor({1}, {1}));
  tape.backward(scaled(plus(x, x), 2));
  REQUIRE(events == std::vector<std::string>{"plus", "scaled", "scaled'", "plus'"});
}
