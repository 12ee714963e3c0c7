// Elementwise arithmetic: same shapes, stretched axes, and the sum of gradients.
#include "kernels/elementwise.h"

#include "autodiff/ops/broadcast.h"
#include "bench/support.h"

namespace {

using namespace tapestry;
using kernels::ElementwiseOp;

// y [rows, 256] = op(a [rows, 256], b), b of the same shape, or stretched along the axes where `other` is 1.
void binary(benchmark::State& state, ElementwiseOp op, std::array<bool, 2> stretched) {
  const Context context = bench::make_context();
  const std::int64_t size = state.range(0), rows = size / 256;
  const Shape shape{rows, 256}, other{stretched[0] ? 1 : rows, stretched[1] ? 1 : 256};
  const kernels::BroadcastDims dims = detail::broadcast_dims(shape, {&shape, &other});
  bench::measure(state, context,
                 {context.uniform(shape, -1, 1, 1), context.uniform(other, -1, 1, 2), context.zeros(shape)},
                 static_cast<double>(size), 4.0 * static_cast<double>(2 * size + other.size()),
                 [&]<class T>(T, bench::Tensors& t) {
                   const std::span<const T> a = t[0].span<T>(), b = t[1].span<T>();
                   kernels::elementwise(context.device(), dims, op, a, b, {}, t[2].span<T>());
                 });
}

void accumulate(benchmark::State& state) {
  const Context context = bench::make_context();
  const std::int64_t size = state.range(0);
  bench::measure(state, context, {context.uniform({size}, -1, 1, 1), context.uniform({size}, -1, 1, 2)},
                 static_cast<double>(size), 12.0 * static_cast<double>(size), [&]<class T>(T, bench::Tensors& t) {
                   kernels::accumulate(context.device(), std::span<const T>(t[0].span<T>()), t[1].span<T>());
                 });
}

void sizes(benchmark::internal::Benchmark* benchmark) { benchmark->Arg(1 << 13)->Arg(1 << 18)->Arg(1 << 24); }

BENCHMARK_CAPTURE(binary, add, ElementwiseOp::add, {false, false})->Apply(sizes);
BENCHMARK_CAPTURE(binary, add_row, ElementwiseOp::add, {true, false})->Apply(sizes);
BENCHMARK_CAPTURE(binary, add_column, ElementwiseOp::add, {false, true})->Apply(sizes);
BENCHMARK_CAPTURE(binary, multiply, ElementwiseOp::multiply, {false, false})->Apply(sizes);
BENCHMARK_CAPTURE(binary, multiply_row, ElementwiseOp::multiply, {true, false})->Apply(sizes);
BENCHMARK_CAPTURE(binary, multiply_column, ElementwiseOp::multiply, {false, true})->Apply(sizes);
BENCHMARK(accumulate)->Apply(sizes);

}  // namespace

BENCHMARK_MAIN();
