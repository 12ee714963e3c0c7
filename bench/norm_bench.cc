// Normalization, forward and backward, at the shapes of small and of larger models.
#include "kernels/norm_rows.h"

#include <utility>

#include "bench/support.h"
#include "kernels/norm_channels.h"
#include "kernels/pool.h"

namespace {

using namespace tapestry;

kernels::RowNormDims dims_of(const benchmark::State& state) {
  return {.rows = static_cast<std::size_t>(state.range(0)),
          .n = static_cast<std::size_t>(state.range(1)),
          .relu = state.range(2) != 0};
}

// x, dy, dx, y, stats; weight, bias, their gradients.
enum { kX, kDy, kDx, kY, kStats, kWeight, kBias, kDweight, kDbias };
bench::Tensors inputs(const Context& context, const Shape& x, std::int64_t n, std::int64_t stats) {
  return {context.normal(x, 0.5, 2, 1),
          context.uniform(x, -1, 1, 4),
          context.zeros(x),
          context.zeros(x),
          context.zeros({stats, 2}, DType::float64),
          context.uniform({n}, 0.5, 2, 2),
          context.uniform({n}, -1, 1, 3),
          context.zeros({n}),
          context.zeros({n})};
}

constexpr auto kLayerForward = []<class T>(const Context& context, const kernels::RowNormDims& dims, T,
                                           bench::Tensors& t) {
  kernels::row_norm_forward(context.device(), dims,
                            {.x = t[kX].span<T>(),
                             .weight = t[kWeight].span<T>(),
                             .bias = t[kBias].span<T>(),
                             .y = t[kY].span<T>(),
                             .stats = t[kStats].span<double>()});
};

void layer_norm_forward(benchmark::State& state) {
  const Context context = bench::make_context();
  const kernels::RowNormDims dims = dims_of(state);
  const bench::Tensors tensors = inputs(context, {state.range(0), state.range(1)}, state.range(1), state.range(0));
  bench::measure(state, context, tensors, 0, 8.0 * static_cast<double>(tensors[kX].size()),
                 [&](auto type, bench::Tensors& t) { kLayerForward(context, dims, type, t); });
  bench::report_elements(state, static_cast<std::size_t>(tensors[kX].size()));
}

void layer_norm_backward(benchmark::State& state) {
  const Context context = bench::make_context();
  const kernels::RowNormDims dims = dims_of(state);
  bench::Tensors tensors = inputs(context, {state.range(0), state.range(1)}, state.range(1), state.range(0));
  kLayerForward(context, dims, float{}, tensors);
  bench::measure(state, context, tensors, 0, 12.0 * static_cast<double>(tensors[kX].size()),
                 [&]<class T>(T, bench::Tensors& t) {
                   kernels::row_norm_backward(context.device(), dims,
                                              {.x = t[kX].span<T>(),
                                               .weight = t[kWeight].span<T>(),
                                               .bias = t[kBias].span<T>(),
                                               .stats = t[kStats].span<double>(),
                                               .dy = t[kDy].span<T>(),
                                               .dx = t[kDx].span<T>(),
                                               .dweight = t[kDweight].span<T>(),
                                               .dbias = t[kDbias].span<T>()});
                 });
  bench::report_elements(state, static_cast<std::size_t>(tensors[kX].size()));
}

// Samples of so many positions and channels, in groups; as many groups as channels and one sample are batch norm.
kernels::ChannelNormDims channel_dims_of(const benchmark::State& state) {
  kernels::ChannelNormDims dims{.batch = static_cast<std::size_t>(state.range(0)),
                                .positions = static_cast<std::size_t>(state.range(1)),
                                .channels = static_cast<std::size_t>(state.range(2)),
                                .groups = static_cast<std::size_t>(state.range(3)),
                                .relu = true};
  if (dims.groups == 0) {
    dims.positions *= std::exchange(dims.batch, 1);
    dims.groups = dims.channels;
  }
  return dims;
}

bench::Tensors channel_inputs(const Context& context, const kernels::ChannelNormDims& dims) {
  const auto channels = static_cast<std::int64_t>(dims.channels);
  return inputs(context, {static_cast<std::int64_t>(dims.batch * dims.positions), channels}, channels,
                static_cast<std::int64_t>(dims.batch * dims.groups));
}

constexpr auto kChannelForward = []<class T>(const Context& context, const kernels::ChannelNormDims& dims, T,
                                             bench::Tensors& t) {
  kernels::channel_norm_forward(context.device(), dims,
                                {.x = t[kX].span<T>(),
                                 .weight = t[kWeight].span<T>(),
                                 .bias = t[kBias].span<T>(),
                                 .y = t[kY].span<T>(),
                                 .stats = t[kStats].span<double>()});
};

void channel_norm_relu_forward(benchmark::State& state) {
  const Context context = bench::make_context();
  const kernels::ChannelNormDims dims = channel_dims_of(state);
  const bench::Tensors tensors = channel_inputs(context, dims);
  bench::measure(state, context, tensors, 0, (dims.batch == 1 ? 12.0 : 8.0) * static_cast<double>(tensors[kX].size()),
                 [&](auto type, bench::Tensors& t) { kChannelForward(context, dims, type, t); });
  bench::report_elements(state, static_cast<std::size_t>(tensors[kX].size()));
}

void channel_norm_relu_backward(benchmark::State& state) {
  const Context context = bench::make_context();
  const kernels::ChannelNormDims dims = channel_dims_of(state);
  bench::Tensors tensors = channel_inputs(context, dims);
  kChannelForward(context, dims, float{}, tensors);
  bench::measure(state, context, tensors, 0, (dims.batch == 1 ? 20.0 : 12.0) * static_cast<double>(tensors[kX].size()),
                 [&]<class T>(T, bench::Tensors& t) {
                   kernels::channel_norm_backward(context.device(), dims,
                                                  {.x = t[kX].span<T>(),
                                                   .weight = t[kWeight].span<T>(),
                                                   .bias = t[kBias].span<T>(),
                                                   .stats = t[kStats].span<double>(),
                                                   .dy = t[kDy].span<T>(),
                                                   .dx = t[kDx].span<T>(),
                                                   .dweight = t[kDweight].span<T>(),
                                                   .dbias = t[kDbias].span<T>()});
                 });
  bench::report_elements(state, static_cast<std::size_t>(tensors[kX].size()));
}

// Batch norm, ReLU and max pooling by 2 x 2: in the passes of the norm, or the pooling after it.
class PooledNorm {
 public:
  explicit PooledNorm(const benchmark::State& state) : fused_(state.range(3) != 0) {
    const auto size = static_cast<std::size_t>(state.range(1));
    windows_.in = {1, size, size};
    windows_.kernel = {1, 2, 2};
    dims_ = {.batch = 1,
             .positions = static_cast<std::size_t>(state.range(0)) * windows_.image(),
             .channels = static_cast<std::size_t>(state.range(2)),
             .groups = static_cast<std::size_t>(state.range(2)),
             .relu = true};
    images_ = {static_cast<std::int64_t>(dims_.positions), state.range(2)};
    const auto of_windows = images_.size() / 4;
    taps_ = context_.zeros({of_windows});
    largest_ = context_.zeros({of_windows});
  }

  // Those of inputs(), where y is that of the norm, and y and dy of windows.
  bench::Tensors tensors() const {
    bench::Tensors all = inputs(context_, images_, images_[1], images_[1]);
    const Shape windows{images_[0] / 4, images_[1]};
    all.push_back(context_.zeros(windows));
    all.push_back(context_.uniform(windows, -1, 1, 5));
    return all;
  }

  template <class T>
  void forward(T, bench::Tensors& t) {
    kernels::channel_norm_forward(context_.device(), dims_,
                                  {.x = t[kX].span<T>(),
                                   .weight = t[kWeight].span<T>(),
                                   .bias = t[kBias].span<T>(),
                                   .y = (fused_ ? t[kPooledY] : t[kY]).template span<T>(),
                                   .stats = t[kStats].span<double>(),
                                   .pool = fused_ ? pool<T>() : kernels::NormPool<T>{}});
    if (fused_) return;
    kernels::max_pool_forward(context_.device(), windows_.dims(dims_.positions, dims_.channels),
                              std::span<const T>(t[kY].span<T>()), t[kPooledY].span<T>(), taps());
  }
  template <class T>
  void backward(T, bench::Tensors& t) {
    std::span<const T> dy = t[kPooledDy].span<T>();
    if (!fused_) {
      kernels::max_pool_backward(context_.device(), windows_.dims(dims_.positions, dims_.channels),
                                 std::span<const std::uint8_t>(taps()), dy, t[kDy].span<T>());
      dy = t[kDy].span<T>();
    }
    kernels::channel_norm_backward(context_.device(), dims_,
                                   {.x = t[kX].span<T>(),
                                    .weight = t[kWeight].span<T>(),
                                    .bias = t[kBias].span<T>(),
                                    .stats = t[kStats].span<double>(),
                                    .dy = dy,
                                    .dx = t[kDx].span<T>(),
                                    .dweight = t[kDweight].span<T>(),
                                    .dbias = t[kDbias].span<T>(),
                                    .pool = fused_ ? pool<T>() : kernels::NormPool<T>{}});
  }

  const Context& context() const { return context_; }
  std::size_t size() const { return static_cast<std::size_t>(images_.size()); }

 private:
  enum { kPooledY = kDbias + 1, kPooledDy };
  template <class T>
  kernels::NormPool<T> pool() {
    if constexpr (std::is_same_v<T, double>) wide_ = largest_.to(DType::float64);
    return {&windows_, (std::is_same_v<T, double> ? wide_ : largest_).template span<T>(), taps()};
  }
  std::span<std::uint8_t> taps() {
    return {reinterpret_cast<std::uint8_t*>(taps_.span<float>().data()), static_cast<std::size_t>(taps_.size())};
  }

  Context context_ = bench::make_context();
  bool fused_;
  kernels::NormWindows windows_;
  kernels::ChannelNormDims dims_;
  Shape images_;
  Tensor taps_, largest_, wide_;
};

void batch_norm_relu_pool_forward(benchmark::State& state) {
  PooledNorm norm(state);
  bench::measure(state, norm.context(), norm.tensors(), 0, 10.5 * static_cast<double>(norm.size()),
                 [&](auto type, bench::Tensors& t) { norm.forward(type, t); });
  bench::report_elements(state, norm.size());
}

void batch_norm_relu_pool_backward(benchmark::State& state) {
  PooledNorm norm(state);
  bench::Tensors tensors = norm.tensors();
  norm.forward(float{}, tensors);
  bench::measure(state, norm.context(), tensors, 0, 12.5 * static_cast<double>(norm.size()),
                 [&](auto type, bench::Tensors& t) { norm.backward(type, t); });
  bench::report_elements(state, norm.size());
}

void shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"rows", "n", "relu"});
  for (const auto& [rows, n] : {std::pair{128, 512}, {4096, 256}, {4096, 768}, {512, 4096}})
    for (int relu : {0, 1}) benchmark->Args({rows, n, relu});
}

void channel_shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"samples", "positions", "channels", "groups"});
  constexpr std::int64_t kShapes[][4] = {{4, 64, 16, 4},        {64, 32 * 32, 64, 8},  {64, 32 * 32, 128, 8},
                                         {64, 16 * 16, 256, 8}, {128, 20 * 20, 32, 8}, {64, 26 * 26, 16, 4},
                                         {64, 7 * 7, 256, 8},   {32, 1, 512, 8},       {16, 16 * 28 * 28, 16, 4}};
  for (const auto& [samples, positions, channels, groups] : kShapes)
    for (std::int64_t given : {groups, std::int64_t{0}}) benchmark->Args({samples, positions, channels, given});
}

void pooled_shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"images", "size", "channels", "fused"});
  for (const auto& [images, size, channels] : {std::array{4, 8, 16}, {64, 32, 128}, {64, 16, 256}, {128, 28, 32}})
    for (int fused : {0, 1}) benchmark->Args({images, size, channels, fused});
}

BENCHMARK(layer_norm_forward)->Apply(shapes);
BENCHMARK(layer_norm_backward)->Apply(shapes);
BENCHMARK(channel_norm_relu_forward)->Apply(channel_shapes);
BENCHMARK(channel_norm_relu_backward)->Apply(channel_shapes);
BENCHMARK(batch_norm_relu_pool_forward)->Apply(pooled_shapes);
BENCHMARK(batch_norm_relu_pool_backward)->Apply(pooled_shapes);

}  // namespace

BENCHMARK_MAIN();
