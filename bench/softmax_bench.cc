// Softmax, its logarithm, and cross-entropy, forward and backward, on rows of scores.
#include "kernels/softmax.h"

#include "bench/support.h"
#include "kernels/loss.h"

namespace {

using namespace tapestry;

kernels::SoftmaxDims rows_of(const benchmark::State& state, bool log) {
  return {
      .outer = static_cast<std::size_t>(state.range(0)), .size = static_cast<std::size_t>(state.range(1)), .log = log};
}

void forward(benchmark::State& state, bool log) {
  const Context context = bench::make_context();
  const Tensor x = context.uniform({state.range(0), state.range(1)}, -8, 8, 1);
  bench::measure(state, context, {x, x.clone()}, 0, 8.0 * static_cast<double>(x.size()),
                 [&, dims = rows_of(state, log)]<class T>(T, bench::Tensors& t) {
                   kernels::softmax_forward(context.device(), dims, std::span<const T>(t[0].span<T>()), t[1].span<T>());
                 });
}

void backward(benchmark::State& state, bool log) {
  const Context context = bench::make_context();
  const kernels::SoftmaxDims dims = rows_of(state, log);
  const Tensor x = context.uniform({state.range(0), state.range(1)}, -8, 8, 1);
  Tensor y = x.like();
  kernels::softmax_forward(context.device(), dims, x.span<float>(), y.span<float>());
  bench::measure(state, context, {y, context.uniform(x.shape(), -1, 1, 2), context.zeros(x.shape())}, 0,
                 12.0 * static_cast<double>(x.size()), [&]<class T>(T, bench::Tensors& t) {
                   const std::span<const T> from = t[0].span<T>(), dy = t[1].span<T>();
                   kernels::softmax_backward(context.device(), dims, from, dy, t[2].span<T>());
                 });
}

// Scores [rows, classes], labels, (max, 1 / sum) of each row, the sum of the losses, dx.
bench::Tensors scores(const Context& context, std::int64_t rows, std::int64_t classes) {
  Tensor labels = context.empty({rows}, DType::int64);
  std::int64_t row = 0;
  for (std::int64_t& label : labels.span<std::int64_t>()) label = 7 * row++ % classes;
  return {context.uniform({rows, classes}, -8, 8, 1), labels, context.zeros({rows, 2}),
          context.zeros({}, DType::float64), context.zeros({rows, classes})};
}

constexpr auto kLoss = []<class T>(const Context& context, const kernels::CrossEntropyDims& dims, T,
                                   bench::Tensors& t) {
  t[3].fill(kernels::cross_entropy_forward(
      context.device(), dims, {.x = t[0].span<T>(), .labels = t[1].span<std::int64_t>(), .stats = t[2].span<T>()}));
};

kernels::CrossEntropyDims classes_of(const benchmark::State& state) {
  return {.rows = static_cast<std::size_t>(state.range(0)), .classes = static_cast<std::size_t>(state.range(1))};
}

void cross_entropy_forward(benchmark::State& state) {
  const Context context = bench::make_context();
  const bench::Tensors tensors = scores(context, state.range(0), state.range(1));
  bench::measure(state, context, tensors, 0, 4.0 * static_cast<double>(tensors[0].size()),
                 [&, dims = classes_of(state)](auto type, bench::Tensors& t) { kLoss(context, dims, type, t); });
}

void cross_entropy_backward(benchmark::State& state) {
  const Context context = bench::make_context();
  const kernels::CrossEntropyDims dims = classes_of(state);
  bench::Tensors tensors = scores(context, state.range(0), state.range(1));
  kLoss(context, dims, float{}, tensors);
  bench::measure(state, context, tensors, 0, 8.0 * static_cast<double>(tensors[0].size()),
                 [&]<class T>(T, bench::Tensors& t) {
                   kernels::cross_entropy_backward(context.device(), dims,
                                                   {.x = t[0].span<T>(),
                                                    .labels = t[1].span<std::int64_t>(),
                                                    .stats = t[2].span<T>(),
                                                    .scale = 1 / static_cast<double>(dims.rows),
                                                    .dx = t[4].span<T>()});
                 });
}

void shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"rows", "classes"})->Args({128, 10})->Args({128, 1000})->Args({4096, 512})->Args({512, 8192});
}

BENCHMARK_CAPTURE(forward, softmax, false)->Apply(shapes);
BENCHMARK_CAPTURE(forward, log_softmax, true)->Apply(shapes);
BENCHMARK_CAPTURE(backward, softmax, false)->Apply(shapes);
BENCHMARK_CAPTURE(backward, log_softmax, true)->Apply(shapes);
BENCHMARK(cross_entropy_forward)->Apply(shapes);
BENCHMARK(cross_entropy_backward)->Apply(shapes);

}  // namespace

BENCHMARK_MAIN();
