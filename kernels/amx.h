// The matrix unit of Intel CPUs from Sapphire Rapids on: whether it is there, and whether this process may use it.
#pragma once

namespace tapestry::kernels {

struct AmxState {
  bool tiles = false;      // CPUID knows AMX-TILE
  bool bf16 = false;       // and AMX-BF16, products of bf16
  bool permitted = false;  // the kernel has given this process the tile registers
};

// Asks CPUID, then the kernel for permission: both once a process, later calls give the same answer.
const AmxState& amx_state();

}  // namespace tapestry::kernels
