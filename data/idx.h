// The idx format of MNIST and its relatives: big-endian header (00 00 type rank, then one 32-bit size an axis), then
// the elements, row-major. http://yann.lecun.com/exdb/mnist/
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "autodiff/shape.h"

namespace tapestry::data {

enum class IdxType : std::uint8_t {
  uint8 = 0x08,
  int8 = 0x09,
  int16 = 0x0B,
  int32 = 0x0C,
  float32 = 0x0D,
  float64 = 0x0E,
};

struct IdxArray {
  IdxType type = IdxType::uint8;
  Shape shape;
  std::vector<std::uint8_t> bytes;  // the elements as in the file, so big-endian where they have several bytes
};

struct IdxOptions {
  std::optional<IdxType> type = std::nullopt;  // what the file must hold; nothing: anything
  std::optional<int> rank = std::nullopt;
  std::uint64_t max_bytes = std::uint64_t{4} << 30;  // of elements
};

// The array in `path`, plain or gzip-compressed (its content tells). FileError "PATH: expected ..., found ..." for a
// wrong magic, type, rank or size, a file that ends early or goes on after its last element, and damaged gzip data.
// Memory follows what the file really holds, not what its header claims.
IdxArray read_idx(const std::string& path, const IdxOptions& options = {});

}  // namespace tapestry::data
