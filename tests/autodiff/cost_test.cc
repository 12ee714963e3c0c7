#include "autodiff/cost.h"

#include <map>

#include "autodiff/map.h"
#include "autodiff/ops/conv.h"
#include "autodiff/ops/elementwise.h"
#include "autodiff/ops/loss.h"
#include "autodiff/ops/matmul.h"
#include "autodiff/ops/pool.h"
#include "autodiff/ops/reshape.h"
#include "autodiff/ops/shape.h"
#include "autodiff/tape.h"
#include "layers/models.h"
#include "tests/catch.h"

using namespace tapestry;

namespace {

// The costs of the ops that body(tape) runs, in order.
template <class Body>
std::vector<OpCosts> costs_of(const Body& body) {
  std::vector<OpCosts> costs;
  Context context{{.threads = 1, .trace = [&](const TraceEvent& event) {
                     if (!event.backward) costs.push_back(op_costs(event));
                   }}};
  Tape tape{context};
  body(context, tape);
  return costs;
}

void require_cost(const OpCost& cost, double flops, double bytes) {
  REQUIRE(cost.flops == flops);
  REQUIRE(cost.bytes == bytes);
}

}  // namespace

TEST_CASE("op costs: products count two for a multiply-add, and what each pass needs") {
  const auto costs = costs_of([](Context& context, Tape& tape) {
    const auto var = [&](const Shape& shape) { return tape.variable(context.full(shape, 1)); };
    linear(tape.input(context.full({4, 5}, 1)), var({5, 3}), var({3}));
    linear(var({4, 5}), var({5, 3}));
    matmul(var({5, 4}), var({5, 3}), {.transpose_a = true});
    matmul(var({2, 4, 5}), var({2, 3, 5}), {.transpose_b = true});
  });
  REQUIRE(costs.size() == 4);
  const double f = sizeof(float);
  require_cost(costs[0].forward, 2 * 4 * 5 * 3 + 4 * 3, f * (20 + 15 + 3 + 12));
  require_cost(costs[0].backward, 2 * 4 * 5 * 3 + 4 * 3, f * (12 + 20 + 15 + 3));  // dy, x; dweight, dbias
  require_cost(costs[1].forward, 2 * 4 * 5 * 3, f * (20 + 15 + 12));
  require_cost(costs[1].backward, 4 * 4 * 5 * 3, f * (12 + 20 + 15 + 20 + 15));
  REQUIRE((costs[0].forward.written == f * 12 && costs[0].backward.written == f * (15 + 3)));
  REQUIRE((costs[1].forward.written == f * 12 && costs[1].backward.written == f * (20 + 15)));
  REQUIRE(costs[2].forward.flops == 2 * 4 * 5 * 3);
  REQUIRE(costs[3].forward.flops == 2 * 2 * 4 * 5 * 3);
}

TEST_CASE("op costs: convolutions, their transposes and groups") {
  const auto costs = costs_of([](Context& context, Tape& tape) {
    const auto var = [&](const Shape& shape) { return tape.variable(context.full(shape, 1)); };
    conv2d(var({2, 6, 6, 4}), var({3, 3, 4, 8}), {}, {.padding = 1});
    conv2d(var({2, 6, 6, 4}), var({3, 3, 2, 8}), var({8}), {.groups = 2});
    conv_transpose2d(var({2, 3, 3, 4}), var({2, 2, 8, 4}), {}, {.stride = 2});
  });
  REQUIRE(costs.size() == 3);
  REQUIRE(costs[0].forward.flops == 2.0 * 2 * 36 * 8 * 9 * 4);
  REQUIRE(costs[0].backward.flops == 2 * costs[0].forward.flops);
  REQUIRE(costs[1].forward.flops == 2.0 * 2 * 16 * 8 * 9 * 2 + 2 * 16 * 8);
  REQUIRE(costs[2].forward.flops == 2.0 * 2 * 9 * 4 * 4 * 8);
}

TEST_CASE("op costs: what only moves, what only looks") {
  const auto costs = costs_of([](Context& context, Tape& tape) {
    const Var x = tape.variable(context.full({2, 4, 4, 3}, 1, DType::float64));
    reshape(x, {2, 48});
    permute(x, {0, 3, 1, 2});
    max_pool2d(x, {.kernel = 2});
    x* x;
  });
  REQUIRE(costs.size() == 4);
  const double d = sizeof(double);
  require_cost(costs[0].forward, 0, 0);
  require_cost(costs[0].backward, 0, 0);
  require_cost(costs[1].forward, 0, d * 192);
  require_cost(costs[1].backward, 0, d * 192);
  require_cost(costs[2].forward, 96, d * (96 + 24));
  require_cost(costs[2].backward, 96, d * (24 + 96));
  require_cost(costs[3].forward, 96, d * 3 * 96);
}

TEST_CASE("op costs: the products of every benchmark model are those that its layers count") {
  for (const std::string_view name : model_names()) {
    NamedModel named = make_model(name);
    std::map<std::string, double> found;
    const auto add = [&](const TraceEvent& event) {
      const std::string_view op = event.op.name;
      if (!event.backward && (op == "linear" || op.starts_with("conv")))
        found[event.where.layer] += op_costs(event).forward.flops;
    };
    Context context{{.trace = add, .fuse = false}};
    named.model.build(context);
    Tape tape{context};
    constexpr std::int64_t kBatch = 2;
    named.model(tape.input(context.full(named.input.prepend(kBatch), 0.5)), Mode::train);
    std::size_t count = 0;
    for (const LayerSummary& layer : named.model.layer_summary().layers) {
      if (layer.type != "Linear" && !layer.type.starts_with("Conv")) continue;
      INFO(name << " " << layer.path);
      // Layers count one addition less for each output.
      const double outputs = kBatch * static_cast<double>(layer.output->size());
      REQUIRE(found[layer.path] == kBatch * layer.cost.flops + outputs);
      ++count;
    }
    REQUIRE((count == found.size() && count > 1));
  }
}

TEST_CASE("op costs: an op that does not tell counts one operation an element, and is told apart") {
  const auto costs = costs_of([](Context& context, Tape& tape) {
    const Var x = tape.variable(context.full({2, 3}, 1));
    record("own", x.value().clone(), {x, optional(Var{})}, {}, [](const Tensor&, GradSlots) {});
    map("twice", x, [](auto v) { return v + v; });
  });
  REQUIRE(costs.size() == 2);
  REQUIRE((!costs[0].known && costs[1].known));
  for (const OpCosts& cost : costs) {
    require_cost(cost.forward, 6, sizeof(float) * (6 + 6));
    require_cost(cost.backward, 6, sizeof(float) * (6 + 6 + 6));
  }
}
