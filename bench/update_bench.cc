// Updates of optimizers over flat memory, and the norm that clips gradients; plain loops beside two of them.
#include "kernels/update.h"

#include "bench/support.h"

namespace {

using namespace tapestry;

constexpr kernels::SgdStep kSgd{.lr = 1e-3, .momentum = 0.9, .weight_decay = 1e-4};

constexpr auto kKernelSgd = []<class T>(const Context& context, T, bench::Tensors& t) {
  kernels::sgd(context.device(), kSgd, std::span<const T>(t[0].span<T>()), t[1].span<T>(), t[2].span<T>());
};

void sgd_by(benchmark::State& state, const auto& work) {
  const Context context = bench::make_context();
  const std::int64_t size = state.range(0);
  const bench::Tensors tensors{context.uniform({size}, -1, 1, 1), context.uniform({size}, -1, 1, 2),
                               context.uniform({size}, -1, 1, 3)};
  bench::measure(
      state, context, tensors, 6.0 * static_cast<double>(size), 20.0 * static_cast<double>(size),
      [&](float, bench::Tensors& t) { work(context, float{}, t); },
      [&](double, bench::Tensors& t) { kKernelSgd(context, double{}, t); });
}

void sgd(benchmark::State& state) { sgd_by(state, kKernelSgd); }

void plain_sgd(benchmark::State& state) {
  sgd_by(state, [](const Context&, float, bench::Tensors& t) {
    const std::span<float> gradient = t[0].span<float>(), momentum = t[1].span<float>(), weight = t[2].span<float>();
    constexpr auto lr = static_cast<float>(kSgd.lr), keep = static_cast<float>(kSgd.momentum),
                   decay = static_cast<float>(kSgd.weight_decay);
    for (std::size_t i = 0; i < weight.size(); ++i) {
      momentum[i] = keep * momentum[i] + gradient[i] + decay * weight[i];
      weight[i] -= lr * momentum[i];
    }
  });
}

void adam(benchmark::State& state, bool decoupled) {
  const Context context = bench::make_context();
  const kernels::AdamStep step{.lr = 1e-3,
                               .beta1 = 0.9,
                               .beta2 = 0.999,
                               .eps = 1e-8,
                               .weight_decay = decoupled ? 1e-2 : 0,
                               .decoupled = decoupled,
                               .step = 10};
  const std::int64_t size = state.range(0);
  const bench::Tensors tensors{context.uniform({size}, -1, 1, 1), context.uniform({size}, -1, 1, 2),
                               context.uniform({size}, 0, 1, 3), context.uniform({size}, -1, 1, 4)};
  bench::measure(state, context, tensors, 0, 28.0 * static_cast<double>(size), [&]<class T>(T, bench::Tensors& t) {
    const std::span<const T> gradient = t[0].span<T>();
    kernels::adam(context.device(), step, gradient, t[1].span<T>(), t[2].span<T>(), {}, t[3].span<T>());
  });
}

constexpr auto kKernelNorm = []<class T>(const Context& context, T, bench::Tensors& t) {
  t[1].fill(kernels::l2_norm(context.device(), std::span<const T>(t[0].span<T>())));
};

void norm_by(benchmark::State& state, const auto& work) {
  const Context context = bench::make_context();
  const std::int64_t size = state.range(0);
  bench::measure(
      state, context, {context.uniform({size}, -1, 1, 1), context.zeros({}, DType::float64)},
      2.0 * static_cast<double>(size), 4.0 * static_cast<double>(size),
      [&](float, bench::Tensors& t) { work(context, float{}, t); },
      [&](double, bench::Tensors& t) { kKernelNorm(context, double{}, t); });
}

void l2_norm(benchmark::State& state) { norm_by(state, kKernelNorm); }

void plain_l2_norm(benchmark::State& state) {
  norm_by(state, [](const Context&, float, bench::Tensors& t) {
    double sum = 0;
    for (const double x : t[0].span<float>()) sum += x * x;
    t[1].fill(std::sqrt(sum));
  });
}

void sizes(benchmark::internal::Benchmark* benchmark) { benchmark->Arg(200'000)->Arg(5'000'000); }

BENCHMARK(sgd)->Apply(sizes);
BENCHMARK(plain_sgd)->Apply(sizes);
BENCHMARK_CAPTURE(adam, adam, false)->Apply(sizes);
BENCHMARK_CAPTURE(adam, adamw, true)->Apply(sizes);
BENCHMARK(l2_norm)->Apply(sizes);
BENCHMARK(plain_l2_norm)->Apply(sizes);

}  // namespace

BENCHMARK_MAIN();
