// Element types. Layers and models are not templates: a tensor carries its type, and an op branches on it once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace tapestry {

enum class DType : std::uint8_t { float32, float64, int64 };

constexpr std::size_t dtype_bytes(DType dtype) { return dtype == DType::float32 ? 4 : 8; }

constexpr std::string_view dtype_name(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return "float32";
    case DType::float64:
      return "float64";
    case DType::int64:
      return "int64";
  }
  return "unknown";
}

template <class T>
requires std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, std::int64_t>
constexpr DType dtype_of() {
  return std::is_same_v<T, float> ? DType::float32 : std::is_same_v<T, double> ? DType::float64 : DType::int64;
}

}  // namespace tapestry
