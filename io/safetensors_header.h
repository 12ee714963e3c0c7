// The header of a safetensors file, as text.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "autodiff/tensor.h"

namespace tapestry::io {

struct SafetensorsEntry {
  std::string name;
  DType dtype = DType::float32;
  Shape shape;
  std::uint64_t begin = 0, end = 0;  // of its bytes, from the start of the data
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // sorted by their place, without hole or overlap
  std::map<std::string, std::string> metadata;
};

inline constexpr std::uint64_t kLongestSafetensorsHeader = 100'000'000;  // what the format's own reader takes

// Parses the header, `text`, of a file with `data_bytes` bytes behind it. FileError, which begins with `path`, for the
// first rule that it breaks.
SafetensorsHeader parse_safetensors_header(const std::string& path, std::string_view text, std::uint64_t data_bytes);

std::string_view safetensors_dtype(DType dtype);  // "F32"

}  // namespace tapestry::io
