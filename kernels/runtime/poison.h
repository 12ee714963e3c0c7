// Tells the address sanitizer which memory of an arena nobody may touch.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
extern "C" {
void __asan_poison_memory_region(void const volatile*, std::size_t);
void __asan_unpoison_memory_region(void const volatile*, std::size_t);
}
#endif

namespace tapestry::detail {

inline void poison([[maybe_unused]] void* start, [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_poison_memory_region(start, bytes);
#endif
}

inline void unpoison([[maybe_unused]] void* start, [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(start, bytes);
#endif
}

}  // namespace tapestry::detail
