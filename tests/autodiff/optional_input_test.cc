#include <array>
#include <vector>

#include "autodiff/record.h"
#include "autodiff/tape.h"
#include "tests/catch.h"

using namespace tapestry;

namespace {

constexpr std::array<float, 3> kFactors{2, 3, 5};

// 2 a + 3 b + 5 c for one element each; what holds nothing counts as 0. The backward asks for each gradient, in another
// way each.
Var weighted(const Context& context, const std::array<Var, 3>& inputs) {
  float sum = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].value()) sum += kFactors[i] * inputs[i].value().span<float>()[0];
  return record("weighted", context.full({1}, sum), {optional(inputs[0]), optional(inputs[1]), optional(inputs[2])}, {},
                [](const Tensor& dy, GradSlots grads) {
                  const float g = dy.span<float>()[0];
                  if (Tensor da = grads.add(0)) da.span<float>()[0] += kFactors[0] * g;
                  Tensor db = dy.like();
                  db.fill(kFactors[1] * g);
                  grads.pass(1, db);
                  GradSlot dc = grads.slot(2);
                  REQUIRE(grads.wants(2) == static_cast<bool>(dc));
                  if (dc) dc.tensor.fill(kFactors[2] * g);
                });
}

enum class Kind { absent, constant, variable };
constexpr std::array kKinds{Kind::absent, Kind::constant, Kind::variable};

}  // namespace

TEST_CASE("optional inputs: each of three is absent, constant or wanted, on the tape") {
  Context context{{.threads = 1}};
  for (Kind a : kKinds)
    for (Kind b : kKinds)
      for (Kind c : kKinds) {
        const std::array kinds{a, b, c};
        Tape tape{context};
        std::array<Var, 3> inputs;
        float expected = 0;
        bool wanted = false;
        for (std::size_t i = 0; i < 3; ++i) {
          const Tensor value = context.full({1}, static_cast<double>(i) + 1);
          if (kinds[i] == Kind::constant) inputs[i] = tape.input(value);
          if (kinds[i] == Kind::variable) inputs[i] = tape.variable(value);
          if (kinds[i] != Kind::absent) expected += kFactors[i] * static_cast<float>(i + 1);
          wanted = wanted || kinds[i] == Kind::variable;
        }
        INFO(static_cast<int>(a) << static_cast<int>(b) << static_cast<int>(c));
        if (a == Kind::absent && b == Kind::absent && c == Kind::absent) {
          REQUIRE_THROWS_WITH(weighted(context, inputs), contains("an op needs an input"));
          continue;
        }
        const Var y = weighted(context, inputs);
        REQUIRE(y.item() == expected);
        REQUIRE(y.requires_grad() == wanted);
        if (!wanted) continue;
        const Gradients gradients = tape.backward(y);
        for (std::size_t i = 0; i < 3; ++i)
          if (kinds[i] == Kind::variable) REQUIRE(gradients[inputs[i]].item() == kFactors[i]);
      }
}

TEST_CASE("optional inputs: off the tape, whichever is there gives the context") {
  const Context context{{.threads = 1}};
  for (std::size_t there = 0; there < 3; ++there) {
    std::array<Var, 3> inputs;
    inputs[there] = context.input(context.full({1}, 1));
    const Var y = weighted(context, inputs);
    REQUIRE(y.item() == kFactors[there]);
    REQUIRE((!y.requires_grad() && y.context() == context.state().get()));
  }
}

TEST_CASE("optional inputs: one that nobody called optional must be there") {
  Context context{{.threads = 1}};
  Tape tape{context};
  const Var x = tape.variable(context.full({1}, 1)), nothing;
  const auto backward = [](const Tensor&, GradSlots) {};
  REQUIRE_THROWS_WITH(record("f", context.zeros({1}), {x, nothing}, {}, backward),
                      contains("f: an input holds nothing"));
  REQUIRE_THROWS_WITH(record("f", context.zeros({1}), {nothing, optional(x)}, {}, backward),
                      contains("f: an input holds nothing"));
}

TEST_CASE("optional inputs: a trace event has a place for one that is absent") {
  std::vector<TraceInput> seen;
  Context context{{.threads = 1, .trace = [&](const TraceEvent& event) {
                     if (!event.backward) seen.assign(event.inputs.begin(), event.inputs.end());
                   }}};
  Tape tape{context};
  weighted(context, {tape.input(context.full({1}, 1)), Var{}, tape.variable(context.full({1}, 1))});
  REQUIRE(seen.size() == 3);
  REQUIRE((seen[0].value != nullptr && !seen[0].wants_gradient));
  REQUIRE((seen[1].value == nullptr && !seen[1].wants_gradient));
  REQUIRE((seen[2].value != nullptr && seen[2].wants_gradient));
}

TEST_CASE("record: a backward that asks for an input that the op does not have is refused") {
  Context context{{.threads = 1}};
  for (int number : {1, -1}) {
    Tape tape{context};
    const Var x = tape.variable(context.full({1}, 1));
    const Var y =
        record("f", context.zeros({1}), {x}, {}, [number](const Tensor&, GradSlots grads) { grads.add(number); });
    REQUIRE_THROWS_WITH(tape.backward(y), contains("f: the backward asks for the gradient of input"));
  }
}
