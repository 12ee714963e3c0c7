// What a kernel needs to run: where its work goes, which instructions it may use, how exact its products are.
#pragma once

#include "kernels/runtime/arena.h"
#include "kernels/runtime/meter.h"
#include "kernels/runtime/thread_pool.h"
#include "kernels/target.h"

namespace tapestry {

// How products of floats may be computed, in the words of JAX and PyTorch. `highest` is accurate to fp32. The lower
// levels allow the matrix units shorter operands; without such a unit every level computes in fp32.
enum class Precision { highest, high, medium };

namespace kernels {

struct MatrixUnit;

struct Device {
  ThreadPool& pool;
  Arena& arena;
  Target target;
  Precision precision;
  const MatrixUnit* unit;  // the matrix products of `target`, or of a faster unit beside it
  Meter* meter = nullptr;  // what kernels tell of their tiles and of packing; nothing: nobody listens
};

// Pieces of work smaller than this many elements stay on one thread.
inline constexpr std::size_t kGrain = 32 * 1024;

}  // namespace kernels
}  // namespace tapestry
