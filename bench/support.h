// What all benchmarks share: a context, and the counters beside the time.
#pragma once

#include <benchmark/benchmark.h>

#include "autodiff/context.h"

namespace tapestry::bench {

// One thread unless TAPESTRY_THREADS says otherwise; TAPESTRY_TARGET caps the target.
inline Context make_context() { return Context{{.threads = std::getenv("TAPESTRY_THREADS") == nullptr ? 1 : 0}}; }

// `flops` and `bytes` (the least that must move) of one iteration.
inline void report(benchmark::State& state, const Context& context, double flops, double bytes) {
  using benchmark::Counter;
  if (flops > 0) state.counters["FLOP/s"] = Counter(flops, Counter::kIsIterationInvariantRate, Counter::kIs1000);
  if (bytes > 0) state.counters["B/s"] = Counter(bytes, Counter::kIsIterationInvariantRate, Counter::kIs1000);
  state.SetLabel(std::string(target_name(context.target())) + " fp32 threads " + std::to_string(context.threads()));
}

}  // namespace tapestry::bench
