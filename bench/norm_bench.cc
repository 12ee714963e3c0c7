// Normalization, forward and backward, at the shapes of small and of larger models.
#include "kernels/norm.h"

#include "bench/support.h"

namespace {

using namespace tapestry;

kernels::NormDims dims_of(const benchmark::State& state) {
  return {.rows = static_cast<std::size_t>(state.range(0)), .n = static_cast<std::size_t>(state.range(1))};
}

// x [rows, n], weight, bias, y, stats.
bench::Tensors inputs(const Context& context, std::int64_t rows, std::int64_t n) {
  return {context.normal({rows, n}, 0.5, 2, 1), context.uniform({n}, 0.5, 2, 2), context.uniform({n}, -1, 1, 3),
          context.zeros({rows, n}), context.zeros({rows, 2}, DType::float64)};
}

constexpr auto kForward = []<class T>(const Context& context, const kernels::NormDims& dims, T, bench::Tensors& t) {
  const std::span<const T> x = t[0].span<T>(), weight = t[1].span<T>(), bias = t[2].span<T>();
  kernels::layer_norm_forward(context.device(), dims, x, weight, bias, t[3].span<T>(), t[4].span<double>());
};

void layer_norm_forward(benchmark::State& state) {
  const Context context = bench::make_context();
  const bench::Tensors tensors = inputs(context, state.range(0), state.range(1));
  bench::measure(state, context, tensors, 0, 8.0 * static_cast<double>(tensors[0].size()),
                 [&, dims = dims_of(state)](auto type, bench::Tensors& t) { kForward(context, dims, type, t); });
}

void layer_norm_backward(benchmark::State& state) {
  const Context context = bench::make_context();
  const kernels::NormDims dims = dims_of(state);
  bench::Tensors t = inputs(context, state.range(0), state.range(1));
  kForward(context, dims, float{}, t);
  const Tensor dy = context.uniform(t[0].shape(), -1, 1, 4), zeros = context.zeros(t[1].shape());
  bench::measure(state, context, {t[0], t[1], t[4], dy, dy.like(), zeros, zeros}, 0,
                 12.0 * static_cast<double>(dy.size()), [&]<class T>(T, bench::Tensors& u) {
                   const std::span<const T> x = u[0].span<T>(), weight = u[1].span<T>(), from = u[3].span<T>();
                   kernels::layer_norm_backward(context.device(), dims, x, weight, u[2].span<double>(), from,
                                                u[4].span<T>(), u[5].span<T>(), u[6].span<T>());
                 });
}

void shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"rows", "n"})->Args({128, 512})->Args({4096, 256})->Args({4096, 768})->Args({512, 4096});
}

BENCHMARK(layer_norm_forward)->Apply(shapes);
BENCHMARK(layer_norm_backward)->Apply(shapes);

}  // namespace

BENCHMARK_MAIN();
