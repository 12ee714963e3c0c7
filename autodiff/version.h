#pragma once

#include <string_view>

namespace tapestry {

inline constexpr std::string_view kVersion = "0.1.0";  // as in meson.build

}  // namespace tapestry
