// Counts calls of malloc, calloc, realloc, aligned allocation, operator new (which calls malloc) and mmap, on all
// threads of this program. Link interpose.cc into a program of its own: it replaces those functions.
#pragma once

#include <cstdint>

namespace tapestry::test {

// False under sanitizers, which bring their own malloc: nothing is counted then.
bool counts_heap_calls();
std::uint64_t heap_calls();

}  // namespace tapestry::test
