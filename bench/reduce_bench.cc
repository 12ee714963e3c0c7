// Reductions: sums over all, over the columns of each row, over the rows; the kernel, the op, and a plain loop.
#include "autodiff/ops/reduce.h"

#include "bench/support.h"
#include "kernels/reduce.h"

namespace {

using namespace tapestry;

// Sums over the middle axis of [outer, size, inner].
void sum(benchmark::State& state) {
  const Context context = bench::make_context();
  const std::int64_t outer = state.range(0), size = state.range(1), inner = state.range(2);
  const kernels::ReduceDims dims{.outer = static_cast<std::size_t>(outer),
                                 .size = static_cast<std::size_t>(size),
                                 .inner = static_cast<std::size_t>(inner)};
  const Tensor x = context.uniform({outer, size, inner}, 0, 1, 1);
  bench::measure(state, context, {x, context.zeros({outer, inner}, DType::float64)}, static_cast<double>(x.size()),
                 4.0 * static_cast<double>(x.size()) + 8.0 * static_cast<double>(outer * inner),
                 [&]<class T>(T, bench::Tensors& t) {
                   const std::span<const T> from = t[0].span<T>();
                   kernels::reduce(context.device(), dims, kernels::Term::value, from, {}, t[1].span<double>());
                 });
}

void plain_sum(benchmark::State& state) {
  const Context context = bench::make_context();
  const std::int64_t size = state.range(0);
  const kernels::ReduceDims dims{.size = static_cast<std::size_t>(size)};
  bench::measure(
      state, context, {context.uniform({size}, 0, 1, 1), context.zeros({}, DType::float64)}, static_cast<double>(size),
      4.0 * static_cast<double>(size),
      [](float, bench::Tensors& t) {
        double total = 0;
        for (float x : t[0].span<float>()) total += x;
        t[1].span<double>()[0] = total;
      },
      [&](double, bench::Tensors& t) {
        kernels::reduce(context.device(), dims, kernels::Term::value, std::span<const double>(t[0].span<double>()), {},
                        t[1].span<double>());
      });
}

// The gradient of a bias [n] from [m, n].
void sum_rows(benchmark::State& state) {
  const Context context = bench::make_context();
  const std::int64_t m = state.range(0), n = state.range(1);
  bench::measure(state, context, {context.uniform({m, n}, 0, 1, 1), context.zeros({n})}, static_cast<double>(m * n),
                 4.0 * static_cast<double>(m * n + n), [&]<class T>(T, bench::Tensors& t) {
                   const std::span<const T> x = t[0].span<T>();
                   kernels::sum_rows(context.device(), static_cast<std::size_t>(m), static_cast<std::size_t>(n), x,
                                     t[1].span<T>(), false);
                 });
}

void mean_op(benchmark::State& state) {
  const Context context = bench::make_context();
  const Shape shape{state.range(0), state.range(1)};
  bench::measure(state, context, {context.uniform(shape, 0, 1, 1), context.zeros({})},
                 static_cast<double>(shape.size()), 4.0 * static_cast<double>(shape.size()),
                 [&](auto, bench::Tensors& t) { t[1] = mean(context.input(t[0])).value(); });
}

void matrices(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"m", "n"})->Args({128, 512})->Args({4096, 768})->Args({784, 8192});
}

BENCHMARK(sum)
    ->ArgNames({"outer", "size", "inner"})
    ->Args({1, 1 << 13, 1})
    ->Args({1, 1 << 18, 1})
    ->Args({1, 1 << 24, 1})
    ->Args({128, 512, 1})
    ->Args({4096, 768, 1})
    ->Args({1, 128, 512})
    ->Args({1, 4096, 768})
    ->Args({128, 784, 32});
BENCHMARK(plain_sum)->ArgName("size")->Arg(1 << 13)->Arg(1 << 18)->Arg(1 << 24);
BENCHMARK(sum_rows)->Apply(matrices);
BENCHMARK(mean_op)->Apply(matrices);

}  // namespace

BENCHMARK_MAIN();
