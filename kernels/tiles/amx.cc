#include "kernels/amx.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace tapestry::kernels {
namespace {

#if defined(__x86_64__) && defined(__linux__)
// Linux 5.16 on gives out the registers on request, Documentation/arch/x86/xstate.rst.
bool ask_for_tiles() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

AmxState find() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return {};
  AmxState state{.tiles = (d >> 24 & 1) != 0, .bf16 = (d >> 22 & 1) != 0};
  state.permitted = state.tiles && ask_for_tiles();
  return state;
}
#else
AmxState find() { return {}; }
#endif

}  // namespace

const AmxState& amx_state() {
  static const AmxState state = find();
  return state;
}

}  // namespace tapestry::kernels
