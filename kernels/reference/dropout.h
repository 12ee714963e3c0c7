#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/random.h"

namespace tapestry::kernels {

// Elements are dropped with probability p; which ones is a function of seed, stream and position.
struct DropoutDims {
  double p = 0.5;
  std::uint64_t seed = 0, stream = 0;
};

namespace reference {

inline constexpr std::size_t kDropoutBlock = 64;  // elements that 16 counters decide

// Words from here on keep their element; 2^32 drops all.
inline std::uint64_t dropout_threshold(double p) { return static_cast<std::uint64_t>(std::llround(p * 0x1p32)); }

// See kernels/dropout.h.
template <class T>
void dropout(const DropoutDims& dims, std::span<const T> x, std::span<T> y) {
  const Philox philox(dims.seed, dims.stream);
  const std::uint64_t threshold = dropout_threshold(dims.p);
  const T scale = static_cast<T>(1 / (1 - dims.p));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t block = i / kDropoutBlock, word = i % kDropoutBlock / 16, lane = i % 16;
    y[i] = philox(block * 16 + lane)[word] >= threshold ? x[i] * scale : T{};
  }
}

}  // namespace reference
}  // namespace tapestry::kernels
