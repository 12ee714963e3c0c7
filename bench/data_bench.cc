// Batches of images from bytes: one epoch of 60000 images [28, 28, 1], as Fashion-MNIST has them.
#include "bench/support.h"
#include "data/dataset.h"

namespace {

using namespace tapestry;

constexpr std::int64_t kImages = 60'000, kPixels = 28 * 28;
constexpr double kMean = 0.2860, kStd = 0.3530;

// A label is the number of its image, by which shuffled batches can be checked.
const data::Dataset& images() {
  static const data::Dataset dataset = [] {
    std::vector<std::uint8_t> bytes(kImages * kPixels);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i * 2654435761U >> 13);
    std::vector<std::int64_t> labels(kImages);
    for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int64_t>(i);
    return data::Dataset(std::move(bytes), {kImages, 28, 28, 1}, std::move(labels), {.mean = {kMean}, .std = {kStd}});
  }();
  return dataset;
}

// What the batch must hold, in double.
Tensor expected(const Context& context, const data::Batch& batch, bool normalize) {
  Tensor want = context.empty(batch.images.shape(), DType::float64);
  auto out = want.span<double>().begin();
  for (const std::int64_t label : batch.labels.span<std::int64_t>())
    for (const std::uint8_t byte : images().bytes(label))
      *out++ = normalize ? (byte / 255.0 - kMean) / kStd : byte / 255.0;
  return want;
}

void epoch(benchmark::State& state, bool shuffle, bool normalize) {
  Context context = bench::make_context();
  const data::BatchOptions options{.size = state.range(0), .shuffle = shuffle, .normalize = normalize};
  for (const data::Batch& batch : images().batches(context, options))
    if (!bench::agree(batch.images, expected(context, batch, normalize)))
      return state.SkipWithError("a batch does not hold its images");
  for (auto _ : state)
    for (const data::Batch& batch : images().batches(context, options)) benchmark::DoNotOptimize(batch.images.raw());
  state.counters["images/s"] = benchmark::Counter(kImages, benchmark::Counter::kIsIterationInvariantRate);
  bench::report(state, context, 0, 5.0 * kImages * kPixels);
}

void sizes(benchmark::internal::Benchmark* benchmark) { benchmark->ArgName("batch")->Arg(128)->Arg(32)->Arg(1024); }

BENCHMARK_CAPTURE(epoch, shuffled, true, true)->Apply(sizes);
BENCHMARK_CAPTURE(epoch, in_order, false, true)->Apply(sizes);
BENCHMARK_CAPTURE(epoch, shuffled_not_normalized, true, false)->Apply(sizes);

}  // namespace

BENCHMARK_MAIN();
