// Dropout, which is its own backward.
#include "kernels/dropout.h"

#include "bench/support.h"

namespace {

using namespace tapestry;

void dropout(benchmark::State& state, double p) {
  const Context context = bench::make_context();
  const kernels::DropoutDims dims{.p = p, .seed = 1, .stream = 2};
  const Tensor x = context.uniform({state.range(0)}, -1, 1, 1);
  bench::measure(state, context, {x, x}, 0, 8.0 * static_cast<double>(x.size()), [&]<class T>(T, bench::Tensors& t) {
    kernels::dropout(context.device(), dims, std::span<const T>(t[0].span<T>()), t[1].span<T>());
  });
}

void sizes(benchmark::internal::Benchmark* benchmark) { benchmark->Arg(1 << 13)->Arg(1 << 18)->Arg(1 << 24); }

BENCHMARK_CAPTURE(dropout, tenth, 0.1)->Apply(sizes);
BENCHMARK_CAPTURE(dropout, half, 0.5)->Apply(sizes);

}  // namespace

BENCHMARK_MAIN();
