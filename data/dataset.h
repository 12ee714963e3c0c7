// Labelled examples: images as bytes, or numbers of any shape, and one class number each.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/batches.h"

namespace tapestry::data {

struct DatasetInfo {
  std::string name = "data";
  std::vector<std::string> classes = {};  // names by class number; empty: as many classes as the labels have
  // Of the values as batches see them without `normalize` (bytes as [0, 1]), over the training examples; one number, or
  // one for each channel (the last axis).
  std::vector<double> mean = {0};
  std::vector<double> std = {1};
  Location where = std::source_location::current();
};

// A value that is cheap to copy: copies and parts share the examples, which never change.
class Dataset {
 public:
  Dataset() = default;  // holds nothing
  // Images as bytes, row-major, of `shape` [N, H, W, C]. ShapeError when the sizes do not agree, ArgumentError for a
  // label outside the classes and for a mean or std that is not finite or whose number is not 1 or C.
  Dataset(std::vector<std::uint8_t> images, const Shape& shape, std::vector<std::int64_t> labels,
          DatasetInfo info = {});
  // Examples as float32 [N, ...], labels int64 [N]; both are copied.
  Dataset(const Tensor& examples, const Tensor& labels, DatasetInfo info = {});

  std::int64_t size() const { return part_.size(); }
  Shape shape() const;         // [N, H, W, C]
  Shape sample_shape() const;  // [H, W, C]
  const std::string& name() const;
  std::int64_t num_classes() const;
  const std::vector<std::string>& classes() const;  // as many as num_classes(): "0", "1", ... where none were given
  std::span<const double> mean() const;
  std::span<const double> std() const;

  std::span<const std::int64_t> labels() const;
  // The bytes or floats of example i; ArgumentError when i is outside [0, size()) or the examples are of the other
  // kind.
  std::span<const std::uint8_t> bytes(std::int64_t i) const;
  std::span<const float> floats(std::int64_t i) const;

  // The examples [begin, end); ArgumentError unless 0 <= begin <= end <= size().
  Dataset slice(std::int64_t begin, std::int64_t end, const Location& where = std::source_location::current()) const;
  Dataset take(std::int64_t n, const Location& where = std::source_location::current()) const {
    return slice(0, n, where);
  }

  // A range of batches {images float32 [B, H, W, C], labels int64 [B]} over all examples, each once, in an order that
  // depends on the context's seed and the epoch alone. ArgumentError unless size >= 1 and epoch >= 0.
  Batches batches(Context& context, const BatchOptions& options = {}) const;

 private:
  explicit Dataset(detail::Part part) : part_(std::move(part)) {}
  const detail::Examples& examples() const;
  template <class T>
  std::span<const T> example(const std::vector<T>& values, std::int64_t i) const;

  detail::Part part_;
};

// What readers return: the examples to train on, and those to test on.
struct Split {
  Dataset train, test;
};

}  // namespace tapestry::data
