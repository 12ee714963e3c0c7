// Text for messages.
#pragma once

#include <string>
#include <string_view>

namespace tapestry {

// The text on one printable line: control characters, backslashes and bytes that are no UTF-8 appear as \xNN. For paths
// and names that come from outside.
std::string printable(std::string_view text);

}  // namespace tapestry
