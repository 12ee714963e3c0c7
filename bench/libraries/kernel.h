// The kernels that both SIMD libraries can express, and what they are given. Files for newer CPUs include this, so it
// holds no code.
#pragma once

#include <cstddef>

namespace tapestry::bench {

enum class Kernel : unsigned char {
  exp,
  log,
  sqrt,
  tanh,
  erf,
  sigmoid,  // 1 / (1 + exp(-x))
  relu,
  silu,      // x / (1 + exp(-x))
  softplus,  // max(x, 0) + log1p(exp(-|x|))
  gelu,      // x erfc(-x / sqrt 2) / 2
  sum,
  dot,
  axpy,
  softmax,
  adam,
};
inline constexpr int kKernels = 15, kPointwise = 10;  // the pointwise ones come first

struct Arrays {
  const float *x, *y;          // of `size` elements, as all
  float *out, *mean, *square;  // the last two are Adam's
};

// Pointwise: out = f(x). sum: out[0] = sum x. dot: out[0] = sum x y. axpy: out += kFactor x. softmax: rows of kColumns,
// the last one may be shorter, out = exp(x - max) / sum exp(x - max). adam: for the gradient x,
// mean += (1 - beta1) (x - mean), square += (1 - beta2) (x^2 - square),
// out -= kRate mean / (kRoot sqrt(square) + kEps).
using Function = void (*)(const Arrays& arrays, std::size_t size);

inline constexpr float kFactor = 0.3f;
inline constexpr std::size_t kColumns = 256;
inline constexpr float kTakeMean = 0.1f, kTakeSquare = 1e-3f, kEps = 1e-8f;
// Of step 10 at a learning rate of 1e-3: 1e-3 / (1 - 0.9^10), 1 / sqrt(1 - 0.999^10).
inline constexpr float kRate = 1.5353415e-3f, kRoot = 10.022532f;

// A nullptr where the library has no such function and none from which it would be made.
namespace highway_library {
Function find(Kernel kernel, int target);  // of kernels/target.h
}
#define TAPESTRY_BENCH_PART(arch)   \
  namespace xsimd_library::arch {   \
  Function find(Kernel kernel);     \
  }                                 \
  namespace plain_loops::arch {     \
  Function find(Kernel kernel);     \
  }                                 \
  namespace plain_fast_math::arch { \
  Function find(Kernel kernel);     \
  }
TAPESTRY_BENCH_PART(baseline)
TAPESTRY_BENCH_PART(sse4)
TAPESTRY_BENCH_PART(avx2)
TAPESTRY_BENCH_PART(avx512)
#undef TAPESTRY_BENCH_PART
namespace plain_loops::o2 {
Function find(Kernel kernel);
}

}  // namespace tapestry::bench
