// What the tape itself costs: an op on one element, recorded and not, and its way back.
#include "autodiff/record.h"
#include "autodiff/tape.h"
#include "bench/support.h"

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
BENCHMARK(recorded_and_backward);

}  // namespace

BENCHMARK_MAIN();
