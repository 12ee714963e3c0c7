// Updates of optimizers over flat memory, and the norm that clips gradients; plain loops beside two of them.
#include "kernels/update.h"

#include "bench/support.h"
#include "optim/optimizers.h"

namespace {

using namespace tapestry;

const OptimizerOptions kOptions{.lr = 1e-3, .momentum = 0.9, .weight_decay = 1e-4};
constexpr double kFloat = sizeof(float);

// Gradient, weight, then the state, of which some are means of squares.
bench::Tensors tensors_of(const Context& context, std::int64_t size, const detail::StateNames& names) {
  bench::Tensors tensors{context.uniform({size}, -1, 1, 1), context.uniform({size}, -1, 1, 2)};
  for (const char* name : names)
    if (name != nullptr) {
      const bool squares = std::string_view(name).find("sq") != std::string_view::npos;
      tensors.push_back(context.uniform({size}, squares ? 0.25 : -0.3, squares ? 1 : 0.3, tensors.size() + 1));
    }
  return tensors;
}

template <class O>
void update_by(benchmark::State& state, const auto& work) {
  const Context context = bench::make_context();
  const auto options = detail::options_of<typename O::Options>(kOptions);
  const detail::StateNames names = O::Method::state_names(options);
  const auto kernel = [&]<class T>(T, bench::Tensors& t) {
    kernels::UpdatePiece<T> piece{std::as_const(t[0]).span<T>(), {}, t[1].span<T>()};
    for (std::size_t k = 0, next = 2; k < names.size(); ++k)
      if (names[k] != nullptr) piece.state[k] = t[next++].span<T>();
    update(context.device(), O::Method::step(options, 10, 1), piece);
  };
  const bench::Tensors tensors = tensors_of(context, state.range(0), names);
  const double passes = 3 + 2 * static_cast<double>(tensors.size() - 2);  // the gradient is only read
  bench::measure(
      state, context, tensors, 0, kFloat * passes * static_cast<double>(state.range(0)),
      [&](float, bench::Tensors& t) { work(kernel, t); }, kernel);
}

void plain_sgd(bench::Tensors& t) {
  const std::span<const float> gradient = std::as_const(t[0]).span<float>();
  const std::span<float> weight = t[1].span<float>(), momentum = t[2].span<float>();
  const auto lr = static_cast<float>(kOptions.lr), keep = static_cast<float>(kOptions.momentum),
             decay = static_cast<float>(kOptions.weight_decay);
  for (std::size_t i = 0; i < weight.size(); ++i) {
    momentum[i] = keep * momentum[i] + gradient[i] + decay * weight[i];
    weight[i] -= lr * momentum[i];
  }
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

// One for each optimizer, under its name.
const bool kRegistered = [] {
  std::size_t number = 0;
  detail::for_each_optimizer([&]<class O>() {
    const auto run = [](benchmark::State& state) {
      update_by<O>(state, [](const auto& kernel, bench::Tensors& t) { kernel(float{}, t); });
    };
    benchmark::RegisterBenchmark(optimizer_names()[number++].c_str(), run)->Apply(sizes);
  });
  const auto plain = [](benchmark::State& state) {
    update_by<SGD>(state, [](const auto&, bench::Tensors& t) { plain_sgd(t); });
  };
  benchmark::RegisterBenchmark("plain_sgd", plain)->Apply(sizes);
  return true;
}();
BENCHMARK(l2_norm)->Apply(sizes);
BENCHMARK(plain_l2_norm)->Apply(sizes);

}  // namespace

BENCHMARK_MAIN();
