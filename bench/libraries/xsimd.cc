// The kernels on xsimd, compiled once for each instruction set: TAPESTRY_ARCH names it. All functions are its own.
#include <xsimd/xsimd.hpp>

#include "bench/libraries/kernel.h"

namespace tapestry::bench::xsimd_library::TAPESTRY_ARCH {
namespace {

using V = xsimd::simd_type<float>;
constexpr std::size_t kLanes = V::size, kSums = 8;

struct AllLanes {};
struct FirstLanes {
  std::size_t count;
};

V load(const float* from, AllLanes) { return V::load_unaligned(from); }
V load(const float* from, FirstLanes lanes) {
  alignas(64) float buffer[kLanes] = {};
  for (std::size_t i = 0; i < lanes.count; ++i) buffer[i] = from[i];
  return V::load_aligned(buffer);
}
void store(V v, float* to, AllLanes) { v.store_unaligned(to); }
void store(V v, float* to, FirstLanes lanes) {
  alignas(64) float buffer[kLanes];
  v.store_aligned(buffer);
  for (std::size_t i = 0; i < lanes.count; ++i) to[i] = buffer[i];
}
V only(V v, V, AllLanes) { return v; }
V only(V v, V other, FirstLanes lanes) {
  alignas(64) float kept[kLanes], rest[kLanes];
  v.store_aligned(kept);
  other.store_aligned(rest);
  for (std::size_t i = lanes.count; i < kLanes; ++i) kept[i] = rest[i];
  return V::load_aligned(kept);
}

template <class Body>
void for_lanes(std::size_t size, const Body& body) {
  std::size_t i = 0;
  for (; i + kLanes <= size; i += kLanes) body(i, AllLanes{});
  if (i < size) body(i, FirstLanes{size - i});
}

float sum_of_lanes(V v) {
  alignas(64) float buffer[kLanes];
  v.store_aligned(buffer);
  float sum = 0;
  for (const float value : buffer) sum += value;
  return sum;
}
float max_of_lanes(V v) {
  alignas(64) float buffer[kLanes];
  v.store_aligned(buffer);
  float most = buffer[0];
  for (const float value : buffer) most = value > most ? value : most;
  return most;
}

template <class F>
void pointwise(const Arrays& a, std::size_t size) {
  for_lanes(size, [&](std::size_t i, auto lanes) { store(F::of(load(a.x + i, lanes)), a.out + i, lanes); });
}

struct Exp {
  static V of(V x) { return xsimd::exp(x); }
};
struct Log {
  static V of(V x) { return xsimd::log(x); }
};
struct Sqrt {
  static V of(V x) { return xsimd::sqrt(x); }
};
struct Tanh {
  static V of(V x) { return xsimd::tanh(x); }
};
struct Erf {
  static V of(V x) { return xsimd::erf(x); }
};
struct Sigmoid {
  static V of(V x) { return V(1) / (V(1) + xsimd::exp(-x)); }
};
struct Relu {
  static V of(V x) { return xsimd::max(x, V(0)); }
};
struct Silu {
  static V of(V x) { return x / (V(1) + xsimd::exp(-x)); }
};
struct Softplus {
  static V of(V x) { return xsimd::max(x, V(0)) + xsimd::log1p(xsimd::exp(-xsimd::abs(x))); }
};
struct Gelu {
  static V of(V x) { return V(0.5f) * x * xsimd::erfc(V(-0.70710678f) * x); }
};

// The sum of term(sum, i, lanes) over all lanes of [0, size), eight vectors at a time.
template <class Term>
float sum_of(std::size_t size, const Term& term) {
  V sums[kSums];
  for (auto& sum : sums) sum = V(0);
  std::size_t i = 0;
  for (; i + kSums * kLanes <= size; i += kSums * kLanes) {
#pragma GCC unroll 8
    for (std::size_t k = 0; k < kSums; ++k) sums[k] = term(sums[k], i + k * kLanes, AllLanes{});
  }
  for_lanes(size - i, [&](std::size_t j, auto lanes) { sums[0] = term(sums[0], i + j, lanes); });
  for (std::size_t k = 1; k < kSums; ++k) sums[0] += sums[k];
  return sum_of_lanes(sums[0]);
}

void sum(const Arrays& a, std::size_t size) {
  a.out[0] = sum_of(size, [&](V sum, std::size_t i, auto lanes) { return sum + load(a.x + i, lanes); });
}

void dot(const Arrays& a, std::size_t size) {
  a.out[0] = sum_of(size, [&](V sum, std::size_t i, auto lanes) {
    return xsimd::fma(load(a.x + i, lanes), load(a.y + i, lanes), sum);
  });
}

void axpy(const Arrays& a, std::size_t size) {
  for_lanes(size, [&](std::size_t i, auto lanes) {
    store(xsimd::fma(V(kFactor), load(a.x + i, lanes), load(a.out + i, lanes)), a.out + i, lanes);
  });
}

void softmax(const Arrays& a, std::size_t size) {
  for (std::size_t row = 0; row < size; row += kColumns) {
    const std::size_t columns = size - row < kColumns ? size - row : kColumns;
    const float* x = a.x + row;
    float* y = a.out + row;
    V most(x[0]);
    for_lanes(columns,
              [&](std::size_t i, auto lanes) { most = xsimd::max(most, only(load(x + i, lanes), most, lanes)); });
    const V shift(max_of_lanes(most));
    V sum(0);
    for_lanes(columns, [&](std::size_t i, auto lanes) {
      const V e = xsimd::exp(load(x + i, lanes) - shift);
      sum += only(e, V(0), lanes);
      store(e, y + i, lanes);
    });
    const V factor(1 / sum_of_lanes(sum));
    for_lanes(columns, [&](std::size_t i, auto lanes) { store(load(y + i, lanes) * factor, y + i, lanes); });
  }
}

void adam(const Arrays& a, std::size_t size) {
  for_lanes(size, [&](std::size_t i, auto lanes) {
    const V g = load(a.x + i, lanes), m = load(a.mean + i, lanes), s = load(a.square + i, lanes);
    const V mean = xsimd::fma(V(kTakeMean), g - m, m), square = xsimd::fma(V(kTakeSquare), g * g - s, s);
    store(mean, a.mean + i, lanes);
    store(square, a.square + i, lanes);
    const V below = xsimd::fma(V(kRoot), xsimd::sqrt(square), V(kEps));
    store(load(a.out + i, lanes) - V(kRate) * mean / below, a.out + i, lanes);
  });
}

}  // namespace

Function find(Kernel kernel) {
  switch (kernel) {
    case Kernel::exp:
      return pointwise<Exp>;
    case Kernel::log:
      return pointwise<Log>;
    case Kernel::sqrt:
      return pointwise<Sqrt>;
    case Kernel::tanh:
      return pointwise<Tanh>;
    case Kernel::erf:
      return pointwise<Erf>;
    case Kernel::sigmoid:
      return pointwise<Sigmoid>;
    case Kernel::relu:
      return pointwise<Relu>;
    case Kernel::silu:
      return pointwise<Silu>;
    case Kernel::softplus:
      return pointwise<Softplus>;
    case Kernel::gelu:
      return pointwise<Gelu>;
    case Kernel::sum:
      return sum;
    case Kernel::dot:
      return dot;
    case Kernel::axpy:
      return axpy;
    case Kernel::softmax:
      return softmax;
    case Kernel::adam:
      return adam;
  }
  return nullptr;
}

}  // namespace tapestry::bench::xsimd_library::TAPESTRY_ARCH
