// How this program was built; meson fills it in.
#pragma once

namespace tapestry::tools {

extern const char* const kCompiler;   // "gcc 12.2.0"
extern const char* const kFlags;      // "release, -O3"
extern const char* const kLibraries;  // "Highway 1.0.3, ..."

}  // namespace tapestry::tools
