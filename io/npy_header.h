// The header of a .npy file, as text.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "autodiff/tensor.h"

namespace tapestry::io {

enum class NpyType { float32, float64, int64, int32 };

struct NpyHeader {
  NpyType type = NpyType::float32;
  Shape shape;
};

constexpr std::uint64_t npy_item_bytes(NpyType type) {
  return type == NpyType::float32 || type == NpyType::int32 ? 4 : 8;
}

// Parses "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }", and nothing else that Python would take.
// `refuse` is called with what is wrong; it must throw.
NpyHeader parse_npy_header(std::string_view text, const std::function<void(const std::string&)>& refuse);

}  // namespace tapestry::io
