// The kernels on Highway, for all targets. exp, log, log1p and tanh are those of its contrib/math; it has no erf.
#include "bench/libraries/kernel.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/libraries/highway.cc"
#include "kernels/simd/highway.h"
//
#include <hwy/contrib/math/math-inl.h>

#include "kernels/simd/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

using bench::Arrays;
using bench::Kernel;

const hn::ScalableTag<float> kFloats;
using V = hn::Vec<decltype(kFloats)>;
constexpr std::size_t kSums = 8;

HWY_INLINE V Number(float value) { return hn::Set(kFloats, value); }

template <class F>
void Pointwise(const Arrays& a, std::size_t size) {
  for_lanes(kFloats, size, [&](std::size_t i, auto lanes) HWY_ATTR {
    store(F::Of(load(kFloats, a.x + i, lanes)), kFloats, a.out + i, lanes);
  });
}

struct Exp {
  static HWY_INLINE V Of(V x) { return hn::Exp(kFloats, x); }
};
struct Log {
  static HWY_INLINE V Of(V x) { return hn::Log(kFloats, x); }
};
struct Sqrt {
  static HWY_INLINE V Of(V x) { return hn::Sqrt(x); }
};
struct Tanh {
  static HWY_INLINE V Of(V x) { return hn::Tanh(kFloats, x); }
};
struct Sigmoid {
  static HWY_INLINE V Of(V x) { return hn::Div(Number(1), hn::Add(Number(1), Exp::Of(hn::Neg(x)))); }
};
struct Relu {
  static HWY_INLINE V Of(V x) { return hn::Max(x, Number(0)); }
};
struct Silu {
  static HWY_INLINE V Of(V x) { return hn::Div(x, hn::Add(Number(1), Exp::Of(hn::Neg(x)))); }
};
struct Softplus {
  static HWY_INLINE V Of(V x) { return hn::Add(Relu::Of(x), hn::Log1p(kFloats, Exp::Of(hn::Neg(hn::Abs(x))))); }
};

// The sum of term(i, lanes) over all lanes of [0, size), eight vectors at a time.
template <class Term>
HWY_INLINE float SumOf(std::size_t size, const Term& term) {
  const std::size_t step = hn::Lanes(kFloats);
  V sums[kSums];
#pragma GCC unroll 8
  for (auto& sum : sums) sum = Number(0);
  std::size_t i = 0;
  for (; i + kSums * step <= size; i += kSums * step) {
#pragma GCC unroll 8
    for (std::size_t k = 0; k < kSums; ++k) sums[k] = term(sums[k], i + k * step, AllLanes{});
  }
  for_lanes(kFloats, size - i, [&](std::size_t j, auto lanes) HWY_ATTR { sums[0] = term(sums[0], i + j, lanes); });
  for (std::size_t k = 1; k < kSums; ++k) sums[0] = hn::Add(sums[0], sums[k]);
  return hn::GetLane(hn::SumOfLanes(kFloats, sums[0]));
}

void Sum(const Arrays& a, std::size_t size) {
  a.out[0] = SumOf(
      size, [&](V sum, std::size_t i, auto lanes) HWY_ATTR { return hn::Add(sum, load(kFloats, a.x + i, lanes)); });
}

void Dot(const Arrays& a, std::size_t size) {
  a.out[0] = SumOf(size, [&](V sum, std::size_t i, auto lanes) HWY_ATTR {
    return hn::MulAdd(load(kFloats, a.x + i, lanes), load(kFloats, a.y + i, lanes), sum);
  });
}

void Axpy(const Arrays& a, std::size_t size) {
  for_lanes(kFloats, size, [&](std::size_t i, auto lanes) HWY_ATTR {
    const V y = load(kFloats, a.out + i, lanes);
    store(hn::MulAdd(Number(bench::kFactor), load(kFloats, a.x + i, lanes), y), kFloats, a.out + i, lanes);
  });
}

void Softmax(const Arrays& a, std::size_t size) {
  for (std::size_t row = 0; row < size; row += bench::kColumns) {
    const std::size_t columns = std::min(bench::kColumns, size - row);
    const float* x = a.x + row;
    float* y = a.out + row;
    V most = Number(x[0]);
    for_lanes(kFloats, columns, [&](std::size_t i, auto lanes) HWY_ATTR {
      most = hn::Max(most, only(kFloats, load(kFloats, x + i, lanes), most, lanes));
    });
    const V shift = hn::MaxOfLanes(kFloats, most);
    V sum = Number(0);
    for_lanes(kFloats, columns, [&](std::size_t i, auto lanes) HWY_ATTR {
      const V e = Exp::Of(hn::Sub(load(kFloats, x + i, lanes), shift));
      sum = hn::Add(sum, only(kFloats, e, Number(0), lanes));
      store(e, kFloats, y + i, lanes);
    });
    const V factor = hn::Div(Number(1), hn::SumOfLanes(kFloats, sum));
    for_lanes(kFloats, columns, [&](std::size_t i, auto lanes) HWY_ATTR {
      store(hn::Mul(load(kFloats, y + i, lanes), factor), kFloats, y + i, lanes);
    });
  }
}

void Adam(const Arrays& a, std::size_t size) {
  for_lanes(kFloats, size, [&](std::size_t i, auto lanes) HWY_ATTR {
    const V g = load(kFloats, a.x + i, lanes);
    V mean = load(kFloats, a.mean + i, lanes), square = load(kFloats, a.square + i, lanes);
    mean = hn::MulAdd(Number(bench::kTakeMean), hn::Sub(g, mean), mean);
    square = hn::MulAdd(Number(bench::kTakeSquare), hn::Sub(hn::Mul(g, g), square), square);
    store(mean, kFloats, a.mean + i, lanes);
    store(square, kFloats, a.square + i, lanes);
    const V below = hn::MulAdd(Number(bench::kRoot), hn::Sqrt(square), Number(bench::kEps));
    const V step = hn::Div(hn::Mul(Number(bench::kRate), mean), below);
    store(hn::Sub(load(kFloats, a.out + i, lanes), step), kFloats, a.out + i, lanes);
  });
}

bench::Function Find(Kernel kernel) {
  switch (kernel) {
    case Kernel::exp:
      return Pointwise<Exp>;
    case Kernel::log:
      return Pointwise<Log>;
    case Kernel::sqrt:
      return Pointwise<Sqrt>;
    case Kernel::tanh:
      return Pointwise<Tanh>;
    case Kernel::sigmoid:
      return Pointwise<Sigmoid>;
    case Kernel::relu:
      return Pointwise<Relu>;
    case Kernel::silu:
      return Pointwise<Silu>;
    case Kernel::softplus:
      return Pointwise<Softplus>;
    case Kernel::sum:
      return Sum;
    case Kernel::dot:
      return Dot;
    case Kernel::axpy:
      return Axpy;
    case Kernel::softmax:
      return Softmax;
    case Kernel::adam:
      return Adam;
    case Kernel::erf:
    case Kernel::gelu:
      return nullptr;
  }
  return nullptr;
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {
namespace {
HWY_EXPORT(Find);
}

bench::Function find_of(bench::Kernel kernel, Target target) { return TAPESTRY_CALL(target, Find)(kernel); }

}  // namespace tapestry::kernels

namespace tapestry::bench::highway_library {
Function find(Kernel kernel, int target) { return kernels::find_of(kernel, static_cast<Target>(target)); }
}  // namespace tapestry::bench::highway_library
#endif
