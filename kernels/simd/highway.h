// Highway 1.0.3 to 1.2 behind one face, and the one place from which kernels are dispatched.
//
// A family's .cc file defines HWY_TARGET_INCLUDE as its own path, includes this header (once for each target, so
// there is no guard around the whole), and calls its functions with TAPESTRY_CALL(target, Function)(arguments ...).

#ifndef TAPESTRY_KERNELS_HIGHWAY_H
#define TAPESTRY_KERNELS_HIGHWAY_H
// Every attainable target is compiled, the plain fallback included. Left out: what lies above AVX3 (bits 0-7), which
// brings nothing to fp32, SSSE3 and SSE2 (bits 12 and 14), which CPUs older than SSE4 alone would run, and the vectors
// of unknown length (SVE, bits 15-27; RVV, 30-38), which arrays cannot hold. The fallback is HWY_SCALAR in every
// version, of one lane; HWY_EMU128, which plays vectors, would make other numbers of it. -DTAPESTRY_ONLY=HWY_AVX3
// (meson's -Dtargets=native) leaves all x86 targets but that and the fallback out.
#define HWY_COMPILE_ALL_ATTAINABLE
#ifndef HWY_BROKEN_EMU128
#define HWY_BROKEN_EMU128 1
#endif
#ifdef TAPESTRY_ONLY
#define TAPESTRY_NOT_WANTED ((HWY_SSE4 | HWY_AVX2 | HWY_AVX3) & ~TAPESTRY_ONLY)
#else
#define TAPESTRY_NOT_WANTED 0
#endif
#define HWY_DISABLED_TARGETS ((0x1FFLL << 30) | (0x1FFFLL << 15) | (5LL << 12) | 0xFFLL | TAPESTRY_NOT_WANTED)
#endif

#include <hwy/foreach_target.h>
//
#include <hwy/highway.h>

#if HWY_ONCE && !defined(TAPESTRY_KERNELS_DISPATCH)
#define TAPESTRY_KERNELS_DISPATCH
#include "kernels/target.h"

namespace tapestry::kernels {

// Highway's bit for a target; 0 when this Highway or this architecture does not have it.
constexpr std::int64_t highway_bit(Target target) {
  switch (target) {
    case Target::scalar:
      return HWY_TARGETS & HWY_SCALAR;
#if HWY_ARCH_X86
    case Target::sse4:
      return HWY_TARGETS & HWY_SSE4;
    case Target::avx2:
      return HWY_TARGETS & HWY_AVX2;
    case Target::avx3:
    case Target::amx:
      return HWY_TARGETS & HWY_AVX3;
#elif HWY_ARCH_ARM
    case Target::neon:
      return HWY_TARGETS & HWY_NEON;
#endif
    default:
      return 0;
  }
}

// The place of a target in the tables that HWY_EXPORT makes: 0 initializes, then one a bit, last the fallback.
constexpr std::size_t highway_index(Target target) {
  if (target == Target::scalar) return HWY_MAX_DYNAMIC_TARGETS + 1;
  std::size_t index = 0;
  for (std::uint64_t bits = HWY_CHOSEN_TARGET_SHIFT(highway_bit(target)); (bits & 1) == 0 && index <= 63; bits >>= 1)
    ++index;
  return index;
}

}  // namespace tapestry::kernels

#define TAPESTRY_CALL(target, function) (*HWY_DISPATCH_TABLE(function)[::tapestry::kernels::highway_index(target)])
#endif
