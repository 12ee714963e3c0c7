// How the norm kernels read what lies in memory, and write past the caches. Included once for each target.

#if defined(TAPESTRY_KERNELS_NORM_STREAM_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_NORM_STREAM_INL_H
#undef TAPESTRY_KERNELS_NORM_STREAM_INL_H
#else
#define TAPESTRY_KERNELS_NORM_STREAM_INL_H
#endif

#include <hwy/cache_control.h>

#include <type_traits>

#include "kernels/simd/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

// Reads what is there, and asks for what will be read a little later: several rows at once are an order that the
// prefetcher of the CPU does not see through.
template <class D, class Lanes>
HWY_INLINE hn::Vec<D> ReadAhead(D d, const float* from, Lanes lanes) {
  constexpr std::size_t kAhead = 2048;  // 8 KiB
  hwy::Prefetch(from + kAhead);
  return load(d, from, lanes);
}

// Writes to memory, past the caches, or as usual.
template <bool kStream, class D, class Lanes>
HWY_INLINE void Write(D d, hn::Vec<D> v, float* to, Lanes lanes) {
  if constexpr (kStream && std::is_same_v<Lanes, AllLanes>)
    hn::Stream(v, d, to);
  else
    store(v, d, to, lanes);
}

// Calls body(whether to stream), known to the compiler; what was streamed can be seen by all threads afterwards.
template <class Body>
HWY_INLINE void WithStream(bool stream, const Body& body) {
  if (!stream) return body(std::false_type{});
  body(std::true_type{});
  hwy::FlushStream();
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
