#include <vector>

#include "autodiff/ops/matmul.h"
#include "autodiff/ops/reduce.h"
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
