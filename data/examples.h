// What Dataset and Batches read; not part of the public interface.
#pragma once

#include "data/dataset.h"

namespace tapestry::data::detail {

struct Examples {
  Examples(DatasetInfo given, const Shape& shape, std::vector<std::uint8_t> given_bytes,
           std::vector<float> given_floats, std::vector<std::int64_t> given_labels);

  std::int64_t sample_size() const { return shape.product(1, shape.rank()); }

  DatasetInfo info;
  Shape shape;                      // of all examples
  std::vector<std::uint8_t> bytes;  // one of these two holds the examples
  std::vector<float> floats;
  bool is_bytes;
  std::vector<std::int64_t> labels;
  float plain_scale;                // x * plain_scale is a value that is not normalized: bytes become [0, 1]
  std::vector<float> scale, shift;  // channel c of a normalized batch is x * scale[c] + shift[c]
};

}  // namespace tapestry::data::detail
