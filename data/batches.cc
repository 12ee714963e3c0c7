#include "data/batches.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "data/examples.h"
#include "kernels/error.h"

namespace tapestry::data {
namespace {

// A permutation of 0 ... N - 1 from f(seed, epoch) (Fisher and Yates; Durstenfeld 1964).
void shuffle(std::span<std::int64_t> order, std::uint64_t seed, std::int64_t epoch) {
  const Philox philox(seed, SeedStreams::kShuffles | static_cast<std::uint64_t>(epoch));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[philox.below(i, i)]);
}

// out = x * scale + shift, with one scale and shift for each channel (the last axis).
template <class T>
void convert(const T* x, float* out, std::size_t size, std::span<const float> scale, std::span<const float> shift) {
  const std::size_t channels = scale.size();
  if (channels == 1) {
    for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<float>(x[i]) * scale[0] + shift[0];
    return;
  }
  for (std::size_t i = 0; i < size; i += channels)
    for (std::size_t c = 0; c < channels; ++c) out[i + c] = static_cast<float>(x[i + c]) * scale[c] + shift[c];
}

}  // namespace

Batches::Batches(detail::Part part, Context& context, const BatchOptions& options)
    : part_(std::move(part)), context_(&context), options_(options) {
  if (options.size < 1)
    fail<ArgumentError>(options.where, "batches", fmt::format("size must be 1 or more, got {}", options.size));
  if (options.epoch < 0)
    fail<ArgumentError>(options.where, "batches", fmt::format("epoch must not be negative, got {}", options.epoch));
  const std::int64_t examples = part_.size();
  count_ = examples / options.size + (!options.drop_last && examples % options.size != 0 ? 1 : 0);
  if (!options.shuffle) return;
  order_ = context.empty({examples}, DType::int64);
  shuffle(order_.span<std::int64_t>(), context.seed(), options.epoch);
}

void Batches::load(std::int64_t index) {
  batch_ = {};  // first of all, so that the next batch can have its memory
  if (index >= count_) return;
  const detail::Examples& all = *part_.examples;
  const std::int64_t first = index * options_.size, size = std::min(options_.size, part_.size() - first);
  batch_.images = context_->empty(all.shape.with(0, size));
  batch_.labels = context_->empty({size}, DType::int64);
  const auto images = batch_.images.span<float>();
  const auto labels = batch_.labels.span<std::int64_t>();
  const auto order = std::as_const(order_).span<std::int64_t>();
  const auto length = static_cast<std::size_t>(all.sample_size());
  const std::size_t grain = std::max<std::size_t>(1, kernels::kGrain / std::max<std::size_t>(length, 1));
  parallel_for(context_->device().pool, static_cast<std::size_t>(size), grain, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const std::size_t position = static_cast<std::size_t>(first) + i;
      const std::size_t example = static_cast<std::size_t>(part_.begin) +
                                  (order.empty() ? position : static_cast<std::size_t>(order[position]));
      labels[i] = all.labels[example];
      float* const out = images.data() + i * length;
      const auto write = [&](const auto* x) {
        if (options_.normalize) return convert(x, out, length, all.scale, all.shift);
        std::transform(x, x + length, out, [&](auto value) { return static_cast<float>(value) * all.plain_scale; });
      };
      all.is_bytes ? write(all.bytes.data() + example * length) : write(all.floats.data() + example * length);
    }
  });
}

}  // namespace tapestry::data
