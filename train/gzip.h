// Bytes as a gzip file. Inside of reports; not part of the public interface.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace tapestry::train {

// One member in the format of RFC 1952.
std::vector<std::byte> gzip(std::string_view bytes);

}  // namespace tapestry::train
