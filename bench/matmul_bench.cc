// Matrix products of the shapes that layers ask for, in all transposes, with the share of the peak of fused
// multiply-adds that the fastest call reaches.
#include "bench/support.h"
#include "kernels/matmul.h"

namespace {

using namespace tapestry;

void matmul(benchmark::State& state, bool transpose_a, bool transpose_b) {
  const Context context = bench::make_context();
  const auto m = state.range(0), n = state.range(1), k = state.range(2);
  const Tensor a = context.uniform({m, k}, -1, 1, 1), b = context.uniform({k, n}, -1, 1, 2);
  Tensor c = context.empty({m, n});
  const kernels::MatmulDims dims{.m = static_cast<std::size_t>(m),
                                 .n = static_cast<std::size_t>(n),
                                 .k = static_cast<std::size_t>(k),
                                 .transpose_a = transpose_a,
                                 .transpose_b = transpose_b};
  const double flops = 2.0 * static_cast<double>(m * n * k), bytes = 4.0 * static_cast<double>(m * k + k * n + m * n);
  bench::measure_share(state, context, flops, bytes, [&] {
    kernels::matmul(context.device(), dims, a.span<float>(), b.span<float>(), {}, c.span<float>());
  });
}

void shapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"m", "n", "k"});
  for (const auto& shape : {std::vector<std::int64_t>{64, 256, 784},
                            {64, 512, 784},
                            {784, 256, 64},
                            {784, 512, 64},
                            {784, 512, 256},
                            {128, 512, 784},
                            {784, 512, 128},
                            {128, 512, 512},
                            {512, 512, 128},
                            {64, 10, 256},
                            {1, 256, 784},
                            {128, 128, 128},
                            {256, 256, 256},
                            {512, 512, 512},
                            {1024, 1024, 1024}})
    bench->Args(shape);
}

BENCHMARK_CAPTURE(matmul, nn, false, false)->Apply(shapes);
BENCHMARK_CAPTURE(matmul, tn, true, false)->Apply(shapes);
BENCHMARK_CAPTURE(matmul, nt, false, true)->Apply(shapes);
BENCHMARK_CAPTURE(matmul, tt, true, true)->Apply(shapes);

}  // namespace

BENCHMARK_MAIN();
