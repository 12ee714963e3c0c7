// For tests that look at how something is refused.
#pragma once

#include <filesystem>
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

// The number of files in a folder, hidden ones too.
inline std::ptrdiff_t entries(const TempDir& folder) {
  return std::distance(std::filesystem::directory_iterator(folder.path()), std::filesystem::directory_iterator());
}

}  // namespace tapestry::test
