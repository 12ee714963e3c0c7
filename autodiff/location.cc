#include "autodiff/location.h"

#include <fmt/format.h>

namespace tapestry {

std::string to_string(const Location& where) {
  std::string_view file = where.source.file_name();
  file.remove_prefix(file.find_last_of('/') + 1);  // npos + 1 is 0
  const std::string line = fmt::format("{}:{}", file, where.source.line());
  return *where.layer == '\0' ? line + ": " : fmt::format("{} ({}): ", where.layer, line);
}

}  // namespace tapestry
