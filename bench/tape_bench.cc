// What the tape itself costs: an op on one element, recorded and not, within a layer, and its way back.
#include "autodiff/record.h"
#include "autodiff/tape.h"
#include "bench/support.h"
#include "layers/sequential.h"

namespace {

using namespace tapestry;

constexpr int kOps = 1000;

// The least that an op can do: hands its input on, and saves a tensor as real ops do.
Var pass_on(const Var& x) {
  return record("pass_on", x.value(), {x}, {},
                [saved = x.value()](const Tensor& dy, GradSlots grads) { grads.pass(0, dy); });
}

void evaluated(benchmark::State& state) {
  const Context context = bench::make_context();
  for (auto _ : state) {
    Var y = context.input(context.zeros({1}));
    for (int i = 0; i < kOps; ++i) y = pass_on(y);
    benchmark::DoNotOptimize(y);
  }
  state.SetItemsProcessed(state.iterations() * kOps);
}

void recorded(benchmark::State& state) {
  Context context = bench::make_context();
  for (auto _ : state) {
    Tape tape{context};
    Var y = tape.variable(context.zeros({1}));
    for (int i = 0; i < kOps; ++i) y = pass_on(y);
    benchmark::DoNotOptimize(y);
  }
  state.SetItemsProcessed(state.iterations() * kOps);
}

// A layer that computes any tail, so that each of its neighbours is asked what it would hand over.
struct PassOn {
  Part part() const { return Part::first(Part::Stage::channel_norm, Activation::none); }
  Var operator()(const Var& x, const Tail& = {}) const { return pass_on(x); }
};

// The same ops, each in a layer of a model.
void recorded_in_layers(benchmark::State& state) {
  Context context = bench::make_context();
  Sequential model;
  for (int i = 0; i < kOps; ++i) model.append(PassOn{});
  model.build(context);
  for (auto _ : state) {
    Tape tape{context};
    benchmark::DoNotOptimize(model(tape.variable(context.zeros({1})), Mode::train));
  }
  state.SetItemsProcessed(state.iterations() * kOps);
}

void recorded_and_backward(benchmark::State& state) {
  Context context = bench::make_context();
  for (auto _ : state) {
    Tape tape{context};
    Var y = tape.variable(context.zeros({1}));
    for (int i = 0; i < kOps; ++i) y = pass_on(y);
    benchmark::DoNotOptimize(tape.backward(y));
  }
  state.SetItemsProcessed(state.iterations() * kOps);
}

BENCHMARK(evaluated);
BENCHMARK(recorded);
BENCHMARK(recorded_in_layers);
BENCHMARK(recorded_and_backward);

}  // namespace

BENCHMARK_MAIN();
