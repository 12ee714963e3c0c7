// What all benchmarks share: a context, a proof of the result, and the counters beside the time.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <vector>

#include "autodiff/context.h"
#include "train/peaks.h"

namespace tapestry::bench {

inline std::string_view precision_name(Precision precision) {
  return precision == Precision::highest ? "highest" : precision == Precision::high ? "high" : "medium";
}

// What TAPESTRY_PRECISION says; `highest` unless that is the name of another.
inline Precision chosen_precision() {
  const char* name = std::getenv("TAPESTRY_PRECISION");
  for (const Precision precision : {Precision::high, Precision::medium})
    if (name != nullptr && name == precision_name(precision)) return precision;
  return Precision::highest;
}

// One thread unless TAPESTRY_THREADS says otherwise; TAPESTRY_TARGET caps the target.
inline Context make_context() {
  return Context{{.threads = std::getenv("TAPESTRY_THREADS") == nullptr ? 1 : 0, .precision = chosen_precision()}};
}

// `flops` and `bytes` (the least that must move) of one iteration.
inline void report(benchmark::State& state, const Context& context, double flops, double bytes) {
  using benchmark::Counter;
  if (flops > 0) state.counters["FLOP/s"] = Counter(flops, Counter::kIsIterationInvariantRate, Counter::kIs1000);
  if (bytes > 0) state.counters["B/s"] = Counter(bytes, Counter::kIsIterationInvariantRate, Counter::kIs1000);
  state.SetLabel(std::string(target_name(context.target())) + " " +
                 std::string(precision_name(context.options().precision)) + " threads " +
                 std::to_string(context.threads()));
}

// The time for each of so many elements.
inline void report_elements(benchmark::State& state, std::size_t count) {
  using benchmark::Counter;
  state.counters["time/element"] =
      Counter(static_cast<double>(count), Counter::kIsIterationInvariantRate | Counter::kInvert);
}

// The shortest of several runs, in seconds: on a busy machine, the one that was disturbed least.
class Shortest {
 public:
  template <class Work>
  double time(const Work& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    benchmark::ClobberMemory();
    const double last = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    seconds_ = std::min(seconds_, last);
    return last;
  }
  double seconds() const { return seconds_; }

 private:
  double seconds_ = std::numeric_limits<double>::infinity();
};

// Times work() with the counters `best`, the FLOP/s of the shortest call, and `peak_percent`, which share of the peak
// that is: the best of measurements that alternate with the calls.
template <class Work>
void measure_share(benchmark::State& state, const Context& context, double flops, double bytes, const Work& work) {
  constexpr double kPause = 0.02;  // seconds of work between two measurements of the peak
  double roof = train::fma_peak(context), since = 0;
  Shortest shortest;
  for (auto _ : state) {
    since += shortest.time(work);
    if (since < kPause) continue;
    state.PauseTiming();
    roof = std::max(roof, train::fma_peak(context));
    since = 0;
    state.ResumeTiming();
  }
  const double best = flops / shortest.seconds();
  report(state, context, flops, bytes);
  state.counters["best"] = benchmark::Counter(best, benchmark::Counter::kDefaults, benchmark::Counter::kIs1000);
  state.counters["peak_percent"] = 100 * best / roof;
}

using Tensors = std::vector<Tensor>;

// Whether no element is further from its own in `want` than 1e-5 of the largest one there, or what products of shorter
// operands may be off.
inline bool agree(const Tensor& got, const Tensor& want) {
  const Precision precision = chosen_precision();
  const double part = precision == Precision::highest ? 1e-5 : precision == Precision::high ? 1e-4 : 2e-2;
  const Tensor a = got.to(DType::float64), b = want.to(DType::float64);
  const auto x = a.span<double>(), y = b.span<double>();
  double largest = 0;
  for (double value : y) largest = std::max(largest, std::abs(value));
  return std::ranges::equal(x, y, [&](double u, double v) { return std::abs(u - v) <= part * largest; });
}

// Times work(float{}, copies of `tensors`), which reads some of them and writes others. What one call makes of them
// must be what reference(double{}, copies as double) makes; where it is not, there is an error in place of a time.
template <class Work, class Reference>
void measure(benchmark::State& state, const Context& context, const Tensors& tensors, double flops, double bytes,
             const Work& work, const Reference& reference) {
  Tensors floats, doubles;
  for (const Tensor& tensor : tensors) {
    floats.push_back(tensor.clone());
    doubles.push_back(tensor.dtype() == DType::float32 ? tensor.to(DType::float64) : tensor.clone());
  }
  work(float{}, floats);
  reference(double{}, doubles);
  if (!std::ranges::equal(floats, doubles, agree))
    return state.SkipWithError("the result is not that of the reference");
  doubles.clear();
  for (auto _ : state) {
    work(float{}, floats);
    benchmark::ClobberMemory();
  }
  report(state, context, flops, bytes);
}

// Where `work` itself takes double to the reference.
template <class Work>
void measure(benchmark::State& state, const Context& context, const Tensors& tensors, double flops, double bytes,
             const Work& work) {
  measure(state, context, tensors, flops, bytes, work, work);
}

}  // namespace tapestry::bench
