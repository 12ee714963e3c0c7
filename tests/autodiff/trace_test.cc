#include <string>
#include <vector>

#include "autodiff/custom.h"
#include "autodiff/ops/conv.h"
#include "autodiff/ops/matmul.h"
#include "autodiff/ops/reduce.h"
#include "autodiff/ops/shape.h"
#include "autodiff/tape.h"
#include "tests/catch.h"

using namespace tapestry;

TEST_CASE("trace: an event tells shapes and types of inputs, and which backward belongs to which forward") {
  struct Seen {
    std::size_t node;
    bool backward;
    Shape output;
    DType dtype;
    std::vector<TraceInput> inputs;
  };
  std::vector<Seen> events;
  Context context{
      {.threads = 1, .trace = [&](const TraceEvent& event) {
         REQUIRE(event.seconds >= 0);
         events.push_back(
             {event.node, event.backward, event.output, event.dtype, {event.inputs.begin(), event.inputs.end()}});
       }}};
  Tape tape{context};
  const Var x = tape.variable(context.full({2, 3}, 1, DType::float64));
  const Var constant = tape.input(context.full({3, 5}, 1, DType::float64));
  const Var y = matmul(x, constant);
  tape.backward(sum(y));
  REQUIRE(events.size() == 4);
  REQUIRE((events[0].output == Shape{2, 5} && events[0].dtype == DType::float64 && !events[0].backward));
  REQUIRE(events[0].inputs.size() == 2);
  REQUIRE((events[0].inputs[0].shape == Shape{2, 3} && events[0].inputs[0].wants_gradient));
  REQUIRE((events[0].inputs[1].shape == Shape{3, 5} && !events[0].inputs[1].wants_gradient));
  REQUIRE(events[0].inputs[1].dtype == DType::float64);
  REQUIRE((events[2].backward && events[2].node == events[1].node && events[2].inputs.empty()));
  REQUIRE((events[3].backward && events[3].node == events[0].node && events[3].output == Shape{2, 5}));
  REQUIRE(events[0].node != events[1].node);
}

namespace {

// Runs body(context, tape), and calls heard(event) for each event of the forward pass.
template <class Heard, class Body>
void listen(ContextOptions options, const Heard& heard, const Body& body) {
  options.threads = 1;
  options.trace = [&](const TraceEvent& event) {
    if (!event.backward) heard(event);
  };
  Context context(std::move(options));
  Tape tape{context};
  body(context, tape);
}

}  // namespace

TEST_CASE("trace: an event has the op's description, and what it was given and gave") {
  const std::byte *x_at = nullptr, *y_at = nullptr;
  std::vector<std::string> heard;
  const auto hear = [&](const TraceEvent& event) {
    heard.emplace_back(event.op.name);
    REQUIRE((event.op.cost != nullptr) == (heard.back() == "permute"));
    x_at = event.inputs[0].value->raw();
    y_at = event.result->raw();
    REQUIRE(event.result->shape() == event.output);
  };
  listen({}, hear, [&](Context& context, Tape& tape) {
    const Var x = tape.variable(context.zeros({2, 3}));
    const Var y = permute(x, {1, 0});
    REQUIRE((x_at == x.value().raw() && y_at == y.value().raw()));
    custom(
        "own", [](const Tensor& t) { return t.clone(); },
        [](const CustomCall<1>&, const Tensor& dy, GradSlots grads) { grads.pass(0, dy); }, y);
    REQUIRE(x_at == y.value().raw());
  });
  REQUIRE(heard == std::vector<std::string>{"permute", "own"});
}

TEST_CASE("trace: options are told by their type, as they were given, in the forward pass") {
  const Location here;
  const ConvOptions<2> given{.stride = 2, .activation = Activation::relu, .where = here};
  int count = 0;
  Context context{{.threads = 1, .trace = [&](const TraceEvent& event) {
                     ++count;
                     REQUIRE(event.options<ConvOptions<1>>() == nullptr);
                     REQUIRE(event.options<ConvOptions<2>>() == (event.backward ? nullptr : &given));
                     REQUIRE(event.where.source.line() == here.source.line());
                   }}};
  Tape tape{context};
  const Var y =
      conv2d(tape.variable(context.zeros({1, 4, 4, 2})), tape.variable(context.zeros({3, 3, 2, 2})), {}, given);
  tape.backward(y, y.value().like());
  REQUIRE(count == 2);
}

TEST_CASE("trace: what a value beside a location says is told like options") {
  const auto order = [](const TraceEvent& event) {
    REQUIRE(event.options<Location>() == nullptr);
    REQUIRE((event.options<Axes>() != nullptr && (*event.options<Axes>())[0] == 1));
  };
  listen({}, order, [&](Context& context, Tape& tape) { permute(tape.variable(context.zeros({2, 3})), {1, 0}); });
}

TEST_CASE("trace: options say what the op itself does, not what another does behind it") {
  const auto run = [](Activation activation, bool fuse) {
    std::vector<std::string> ops;
    const auto hear = [&](const TraceEvent& event) {
      ops.emplace_back(event.op.name);
      if (const auto* options = event.options<ConvOptions<1>>())
        REQUIRE(options->activation == (activation == Activation::relu && fuse ? activation : Activation::none));
      if (const auto* options = event.options<ConvTransposeOptions<1>>())
        REQUIRE(options->activation == Activation::none);
    };
    listen({.fuse = fuse}, hear, [&](Context& context, Tape& tape) {
      const Var x = tape.variable(context.zeros({1, 4, 2})), weight = tape.variable(context.zeros({3, 2, 2}));
      conv1d(x, weight, {}, {.activation = activation});
      conv_transpose1d(x, weight, {}, {.activation = activation});
    });
    return ops;
  };
  using Ops = std::vector<std::string>;
  REQUIRE(run(Activation::none, true) == Ops{"conv1d", "conv_transpose1d"});
  REQUIRE(run(Activation::gelu, true) == Ops{"conv1d", "gelu", "conv_transpose1d", "gelu"});
  REQUIRE(run(Activation::relu, true) == Ops{"conv1d", "conv_transpose1d", "relu"});
  REQUIRE(run(Activation::relu, false) == Ops{"conv1d", "relu", "conv_transpose1d", "relu"});
}

TEST_CASE("trace: ops that no tape records are told where that is asked for") {
  for (bool asked : {false, true}) {
    std::vector<std::string> ops;
    std::vector<std::size_t> nodes;
    const auto hear = [&](const TraceEvent& event) {
      ops.emplace_back(event.op.name);
      nodes.push_back(event.node);
      if (event.node != TraceEvent::kNoNode) return;
      REQUIRE((event.seconds == 0 && event.result != nullptr && event.inputs[0].value != nullptr));
      REQUIRE_FALSE(event.inputs[0].wants_gradient);
    };
    listen({.trace_untaped = asked}, hear, [&](Context& context, Tape& tape) {
      const Tensor two = context.full({2, 2}, 1);
      sum(context.input(two));                       // in evaluation
      matmul(tape.input(two), tape.input(two), {});  // of constants
      mean(tape.variable(two));
    });
    using Ops = std::vector<std::string>;
    REQUIRE(ops == (asked ? Ops{"sum", "matmul", "mean"} : Ops{"mean"}));
    REQUIRE((nodes.back() != TraceEvent::kNoNode && (!asked || nodes[0] == TraceEvent::kNoNode)));
  }
}
