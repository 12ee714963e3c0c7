#include "data/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "data/examples.h"
#include "kernels/error.h"

namespace tapestry::data {
namespace {

void check_statistics(const DatasetInfo& info, std::int64_t channels) {
  for (const auto& [word, numbers] : {std::pair{"mean", &info.mean}, std::pair{"std", &info.std}}) {
    if (numbers->size() != 1 && static_cast<std::int64_t>(numbers->size()) != channels)
      fail<ArgumentError>(info.where, "dataset",
                          fmt::format("{} needs 1 or {} numbers, got {}", word, channels, numbers->size()));
    for (const double number : *numbers)
      if (!std::isfinite(number) || (numbers == &info.std && !(number >= std::numeric_limits<float>::min())))
        fail<ArgumentError>(
            info.where, "dataset",
            fmt::format("{} must be finite{}, got {}", word, numbers == &info.std ? " and above 0" : "", number));
  }
}

// Fills in the classes' names, and checks the labels against them.
void check_labels(std::span<const std::int64_t> labels, DatasetInfo& info) {
  if (info.classes.empty()) {
    const std::int64_t most = labels.empty() ? -1 : *std::ranges::max_element(labels);
    if (most >= std::int64_t{1} << 20)
      fail<ArgumentError>(info.where, "dataset", fmt::format("label {} makes more than 2^20 classes", most));
    for (std::int64_t label = 0; label <= most; ++label) info.classes.push_back(std::to_string(label));
  }
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] < 0 || labels[i] >= static_cast<std::int64_t>(info.classes.size()))
      fail<ArgumentError>(info.where, "dataset",
                          fmt::format("label {} of example {} is outside [0, {})", labels[i], i, info.classes.size()));
}

void check_content(const Shape& shape, std::size_t elements, std::span<const std::int64_t> labels, DatasetInfo& info) {
  if (shape.rank() < 2)
    fail<ShapeError>(info.where, "dataset",
                     fmt::format("examples must be [N, ...] with 2 axes or more; they are {}", to_string(shape)));
  if (static_cast<std::int64_t>(elements) != shape.size())
    fail<ShapeError>(info.where, "dataset",
                     fmt::format("{} needs {} numbers, got {}", to_string(shape), shape.size(), elements));
  if (static_cast<std::int64_t>(labels.size()) != shape[0])
    fail<ShapeError>(info.where, "dataset", fmt::format("{} examples, but {} labels", shape[0], labels.size()));
  check_statistics(info, shape[-1]);
  check_labels(labels, info);
}

}  // namespace

Dataset::Dataset(std::vector<std::uint8_t> images, const Shape& shape, std::vector<std::int64_t> labels,
                 DatasetInfo info) {
  check_content(shape, images.size(), labels, info);
  part_ = {std::make_shared<detail::Examples>(std::move(info), shape, std::move(images), std::vector<float>(),
                                              std::move(labels)),
           0, shape[0]};
}

Dataset::Dataset(const Tensor& examples, const Tensor& labels, DatasetInfo info) {
  if (!examples || !labels || examples.dtype() != DType::float32 || labels.dtype() != DType::int64)
    fail<ArgumentError>(info.where, "dataset",
                        fmt::format("needs float32 examples and int64 labels, got {} and {}",
                                    examples ? dtype_name(examples.dtype()) : "nothing",
                                    labels ? dtype_name(labels.dtype()) : "nothing"));
  const auto numbers = examples.span<float>();
  const auto classes = labels.span<std::int64_t>();
  check_content(examples.shape(), numbers.size(), classes, info);
  part_ = {std::make_shared<detail::Examples>(std::move(info), examples.shape(), std::vector<std::uint8_t>(),
                                              std::vector<float>(numbers.begin(), numbers.end()),
                                              std::vector<std::int64_t>(classes.begin(), classes.end())),
           0, examples.shape()[0]};
}

// For bytes, x / 255 is the value: scale = 1 / (255 std), shift = -mean / std.
detail::Examples::Examples(DatasetInfo given, const Shape& shape, std::vector<std::uint8_t> given_bytes,
                           std::vector<float> given_floats, std::vector<std::int64_t> given_labels)
    : info(std::move(given)),
      shape(shape),
      bytes(std::move(given_bytes)),
      floats(std::move(given_floats)),
      is_bytes(floats.empty()),
      labels(std::move(given_labels)) {
  const double unit = is_bytes ? 255 : 1;
  plain_scale = static_cast<float>(1 / unit);
  for (std::size_t c = 0; c < static_cast<std::size_t>(shape[-1]); ++c) {
    const double mean = info.mean[info.mean.size() == 1 ? 0 : c], std = info.std[info.std.size() == 1 ? 0 : c];
    scale.push_back(static_cast<float>(1 / (unit * std)));
    shift.push_back(static_cast<float>(-mean / std));
  }
}

const detail::Examples& Dataset::examples() const {
  if (!part_.examples) throw ArgumentError("dataset: it holds nothing yet");
  return *part_.examples;
}

Shape Dataset::shape() const { return examples().shape.with(0, size()); }
Shape Dataset::sample_shape() const { return examples().shape.drop_front(); }
const std::string& Dataset::name() const { return examples().info.name; }
std::int64_t Dataset::num_classes() const { return static_cast<std::int64_t>(examples().info.classes.size()); }
const std::vector<std::string>& Dataset::classes() const { return examples().info.classes; }
std::span<const double> Dataset::mean() const { return examples().info.mean; }
std::span<const double> Dataset::std() const { return examples().info.std; }

std::span<const std::int64_t> Dataset::labels() const {
  return std::span(examples().labels).subspan(static_cast<std::size_t>(part_.begin), static_cast<std::size_t>(size()));
}

template <class T>
std::span<const T> Dataset::example(const std::vector<T>& values, std::int64_t i) const {
  if (i < 0 || i >= size()) throw ArgumentError(fmt::format("dataset: example {} is outside [0, {})", i, size()));
  const auto length = static_cast<std::size_t>(examples().sample_size());
  if (examples().is_bytes != std::is_same_v<T, std::uint8_t>)
    throw ArgumentError(fmt::format("dataset: the examples are {}", examples().is_bytes ? "bytes" : "floats"));
  return std::span(values).subspan(static_cast<std::size_t>(part_.begin + i) * length, length);
}

std::span<const std::uint8_t> Dataset::bytes(std::int64_t i) const { return example(examples().bytes, i); }
std::span<const float> Dataset::floats(std::int64_t i) const { return example(examples().floats, i); }

Dataset Dataset::slice(std::int64_t begin, std::int64_t end, const Location& where) const {
  if (begin < 0 || begin > end || end > size())
    fail<ArgumentError>(where, "dataset", fmt::format("[{}, {}) is no part of {} examples", begin, end, size()));
  return Dataset({part_.examples, part_.begin + begin, part_.begin + end});
}

Batches Dataset::batches(Context& context, const BatchOptions& options) const {
  static_cast<void>(examples());  // throws where it holds nothing
  return Batches(part_, context, options);
}

}  // namespace tapestry::data
