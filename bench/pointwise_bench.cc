// Pointwise ops: the built-in kernels on xsimd, a user's lambda through map_into, and plain loops.
#include <cmath>

#include "autodiff/map.h"
#include "autodiff/pointwise/run.h"
#include "bench/support.h"

namespace {

using namespace tapestry;
using pointwise::Op;

struct Arrays {
  Tensor x, dy, y;
  Arrays(const Context& context, std::int64_t size)
      : x(context.uniform({size}, 0.5, 2, 1)), dy(context.uniform({size}, -1, 1, 2)), y(context.zeros({size})) {}
};

void forward(benchmark::State& state, Op op) {
  const Context context = bench::make_context();
  Arrays a(context, state.range(0));
  const pointwise::Params params = pointwise::with_defaults(pointwise::signature(op), {});
  for (auto _ : state)
    pointwise::forward(context.device(), op, params, std::as_const(a.x).span<float>(), a.y.span<float>());
  bench::report(state, context, 0, 8.0 * static_cast<double>(state.range(0)));
}

void backward(benchmark::State& state, Op op) {
  const Context context = bench::make_context();
  Arrays a(context, state.range(0));
  const pointwise::Params params = pointwise::with_defaults(pointwise::signature(op), {});
  for (auto _ : state)
    pointwise::backward(context.device(), op, params, std::as_const(a.x).span<float>(),
                        std::as_const(a.dy).span<float>(), a.y.span<float>());
  bench::report(state, context, 0, 12.0 * static_cast<double>(state.range(0)));
}

template <class F>
void mapped(benchmark::State& state, const F& f) {
  const Context context = bench::make_context();
  Arrays a(context, state.range(0));
  for (auto _ : state) {
    map_into(context.device(), a.y.span<float>(), f, std::as_const(a.x).span<float>());
    benchmark::ClobberMemory();
  }
  bench::report(state, context, 0, 8.0 * static_cast<double>(state.range(0)));
}

template <class F>
void plain(benchmark::State& state, const F& f) {
  const Context context = bench::make_context();
  Arrays a(context, state.range(0));
  const std::span<const float> x = std::as_const(a.x).span<float>();
  const std::span<float> y = a.y.span<float>();
  for (auto _ : state) {
    for (std::size_t i = 0; i < x.size(); ++i) y[i] = f(x[i]);
    benchmark::ClobberMemory();
  }
  bench::report(state, context, 0, 8.0 * static_cast<double>(state.range(0)));
}

void sizes(benchmark::internal::Benchmark* benchmark) { benchmark->Arg(1 << 13)->Arg(1 << 18)->Arg(1 << 24); }

const bool registered = [] {
  for (std::size_t i = 0; i < pointwise::count(); ++i) {
    const Op op = static_cast<Op>(i);
    const std::string name = pointwise::signature(op).name;
    benchmark::RegisterBenchmark((name + "/forward").c_str(), forward, op)->Apply(sizes);
    benchmark::RegisterBenchmark((name + "/backward").c_str(), backward, op)->Apply(sizes);
  }
  const auto relu = [](auto x) { return select(x <= 0, 0, x); };
  const auto silu = [](auto x) { return x / (1 + exp(-x)); };
  benchmark::RegisterBenchmark("relu/map", mapped<decltype(relu)>, relu)->Apply(sizes);
  benchmark::RegisterBenchmark("silu/map", mapped<decltype(silu)>, silu)->Apply(sizes);
  const auto plain_relu = [](float x) { return x <= 0 ? 0 : x; };
  const auto plain_silu = [](float x) { return x / (1 + std::exp(-x)); };
  benchmark::RegisterBenchmark("relu/plain", plain<decltype(plain_relu)>, plain_relu)->Apply(sizes);
  benchmark::RegisterBenchmark("silu/plain", plain<decltype(plain_silu)>, plain_silu)->Apply(sizes);
  return true;
}();

}  // namespace

BENCHMARK_MAIN();
