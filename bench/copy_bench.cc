// Ops that only move elements: permutations of axes, and joining. A result is given back before the next is made, so
// that it takes the same memory.
#include "autodiff/ops/shape.h"
#include "bench/support.h"

namespace {

using namespace tapestry;

// x of four axes in another order: images with channels first, heads of attention apart, all axes reversed.
void permute_to(benchmark::State& state, const Axes& order) {
  const Context context = bench::make_context();
  const Tensor x = context.uniform({state.range(0), state.range(1), state.range(2), state.range(3)}, -1, 1, 1);
  bench::measure(state, context, {x, context.zeros({})}, 0, 8.0 * static_cast<double>(x.size()),
                 [&](auto, bench::Tensors& t) {
                   t[1] = {};
                   t[1] = permute(context.input(t[0]), order).value();
                 });
}

// Two of [m, n] along one axis.
void concat_along(benchmark::State& state, int axis) {
  const Context context = bench::make_context();
  const Shape shape{state.range(0), state.range(1)};
  const Tensor a = context.uniform(shape, -1, 1, 1), b = context.uniform(shape, -1, 1, 2);
  bench::measure(state, context, {a, b, context.zeros({})}, 0, 16.0 * static_cast<double>(shape.size()),
                 [&](auto, bench::Tensors& t) {
                   t[2] = {};
                   t[2] = concat({context.input(t[0]), context.input(t[1])}, {.axis = axis}).value();
                 });
}

void images(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"n", "h", "w", "c"})->Args({8, 14, 14, 32})->Args({128, 28, 28, 32})->Args({128, 14, 14, 64});
}

void matrices(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"m", "n"})->Args({128, 256})->Args({4096, 768});
}

BENCHMARK_CAPTURE(permute_to, channels_first, Axes{0, 3, 1, 2})->Apply(images);
BENCHMARK_CAPTURE(permute_to, middle, Axes{0, 2, 1, 3})->Apply(images);
BENCHMARK_CAPTURE(permute_to, reversed, Axes{3, 2, 1, 0})->Apply(images);
BENCHMARK_CAPTURE(concat_along, rows, 0)->Apply(matrices);
BENCHMARK_CAPTURE(concat_along, columns, 1)->Apply(matrices);

}  // namespace

BENCHMARK_MAIN();
