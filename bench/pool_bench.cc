// Pooling and interpolation, forward and backward, of images [N, in, C].
#include "kernels/pool.h"

#include "bench/support.h"
#include "kernels/resize.h"

namespace {

using namespace tapestry;
using kernels::PoolDims;

// batch, D, H, W, channels, kernel, stride and padding of the last two axes, or of all three where D > 1.
PoolDims dims_of(const benchmark::State& state) {
  const auto arg = [&](std::size_t i) { return static_cast<std::size_t>(state.range(i)); };
  PoolDims d{.batch = arg(0), .channels = arg(4), .in = {arg(1), arg(2), arg(3)}};
  for (std::size_t axis = d.in[0] > 1 ? 0 : 1; axis < 3; ++axis) {
    d.kernel[axis] = arg(5);
    d.stride[axis] = arg(6);
    d.pad[axis] = arg(7);
    d.out[axis] = (d.in[axis] + 2 * d.pad[axis] - d.kernel[axis]) / d.stride[axis] + 1;
  }
  return d;
}

Tensor line(const Context& context, std::size_t size, std::uint64_t seed) {
  return context.uniform({static_cast<std::int64_t>(size)}, -1, 1, seed);
}

void max_forward(benchmark::State& state) {
  const Context context = bench::make_context();
  const PoolDims d = dims_of(state);
  std::vector<std::uint8_t> taps(d.y_size());
  bench::measure(state, context, {line(context, d.x_size(), 1), line(context, d.y_size(), 2)}, 0,
                 4.0 * static_cast<double>(d.x_size()) + 5.0 * static_cast<double>(d.y_size()),
                 [&]<class T>(T, bench::Tensors& t) {
                   kernels::max_pool_forward(context.device(), d, std::span<const T>(t[0].span<T>()), t[1].span<T>(),
                                             std::span(taps));
                 });
  bench::report_elements(state, d.x_size());
}

void max_backward(benchmark::State& state) {
  const Context context = bench::make_context();
  const PoolDims d = dims_of(state);
  std::vector<std::uint8_t> taps(d.y_size());
  Tensor x = line(context, d.x_size(), 1), y = line(context, d.y_size(), 2);
  kernels::max_pool_forward(context.device(), d, std::span<const float>(x.span<float>()), y.span<float>(),
                            std::span(taps));
  bench::measure(state, context, {y, x}, 0,
                 4.0 * static_cast<double>(d.x_size()) + 5.0 * static_cast<double>(d.y_size()),
                 [&]<class T>(T, bench::Tensors& t) {
                   kernels::max_pool_backward(context.device(), d, std::span<const std::uint8_t>(taps),
                                              std::span<const T>(t[0].span<T>()), t[1].span<T>());
                 });
  bench::report_elements(state, d.x_size());
}

void avg(benchmark::State& state, bool forward) {
  const Context context = bench::make_context();
  const PoolDims d = dims_of(state);
  bench::measure(state, context, {line(context, d.x_size(), 1), line(context, d.y_size(), 2)}, 0,
                 4.0 * static_cast<double>(d.x_size() + d.y_size()), [&]<class T>(T, bench::Tensors& t) {
                   const std::span<T> x = t[0].span<T>(), y = t[1].span<T>();
                   if (forward)
                     kernels::avg_pool_forward(context.device(), d, x, y);
                   else
                     kernels::avg_pool_backward(context.device(), d, y, x);
                 });
  bench::report_elements(state, d.x_size());
}

// Twice the size along the last two axes.
void upsample(benchmark::State& state, kernels::ResizeKind kind, bool forward) {
  const Context context = bench::make_context();
  const PoolDims image = dims_of(state);
  const kernels::ResizeDims d{.kind = kind,
                              .batch = image.batch,
                              .channels = image.channels,
                              .in = image.in,
                              .out = {image.in[0], 2 * image.in[1], 2 * image.in[2]}};
  bench::measure(state, context, {line(context, d.x_size(), 1), line(context, d.y_size(), 2)}, 0,
                 4.0 * static_cast<double>(d.x_size() + d.y_size()), [&]<class T>(T, bench::Tensors& t) {
                   const std::span<T> x = t[0].span<T>(), y = t[1].span<T>();
                   if (forward)
                     kernels::resize_forward(context.device(), d, x, y);
                   else
                     kernels::resize_backward(context.device(), d, y, x);
                 });
  bench::report_elements(state, d.y_size());
}

void images(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"n", "d", "h", "w", "c", "kernel", "stride", "padding"})
      ->Args({8, 1, 20, 20, 32, 2, 2, 0})
      ->Args({128, 1, 20, 20, 32, 2, 2, 0})
      ->Args({64, 1, 32, 32, 128, 2, 2, 0})
      ->Args({64, 1, 32, 32, 32, 3, 2, 1})
      ->Args({64, 1, 32, 32, 32, 3, 1, 1})
      ->Args({128, 1, 28, 28, 1, 2, 2, 0})
      ->Args({128, 1, 20, 20, 10, 2, 2, 0})
      ->Args({128, 1, 8, 8, 64, 8, 8, 0})
      ->Args({16, 16, 28, 28, 16, 2, 2, 0});
}

void small(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"n", "d", "h", "w", "c", "kernel", "stride", "padding"})
      ->Args({8, 1, 20, 20, 32, 2, 2, 0})
      ->Args({64, 1, 16, 16, 64, 2, 2, 0});
}

using enum kernels::ResizeKind;
BENCHMARK(max_forward)->Apply(images);
BENCHMARK(max_backward)->Apply(images);
BENCHMARK_CAPTURE(avg, forward, true)->Apply(images);
BENCHMARK_CAPTURE(avg, backward, false)->Apply(images);
BENCHMARK_CAPTURE(upsample, nearest_forward, nearest, true)->Apply(small);
BENCHMARK_CAPTURE(upsample, nearest_backward, nearest, false)->Apply(small);
BENCHMARK_CAPTURE(upsample, linear_forward, linear, true)->Apply(small);
BENCHMARK_CAPTURE(upsample, linear_backward, linear, false)->Apply(small);

}  // namespace

BENCHMARK_MAIN();
