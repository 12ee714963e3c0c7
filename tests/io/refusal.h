// For tests that look at how something is refused.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/files.h"

namespace tapestry::test {

// What `body` throws, when it is an E; else empty.
template <class E, class Body>
std::string error_of(const Body& body) {
  try {
    body();
  } catch (const E& error) {
    return error.what();
  }
  return {};
}

// Changes one bit of a file where it lies.
inline void flip_bit(const std::string& path, std::size_t bit) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(static_cast<std::streamoff>(bit / 8));
  const int byte = file.get();
  file.seekp(static_cast<std::streamoff>(bit / 8));
  file.put(static_cast<char>(byte ^ (1 << bit % 8)));
}

// The number of files in a folder, hidden ones too.
inline std::ptrdiff_t entries(const TempDir& folder) {
  return std::distance(std::filesystem::directory_iterator(folder.path()), std::filesystem::directory_iterator());
}

}  // namespace tapestry::test
