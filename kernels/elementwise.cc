#include "kernels/elementwise.h"

#include <cmath>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/elementwise.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/simd/exp-inl.h"
#include "kernels/simd/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

using Floats = hn::ScalableTag<float>;
using V = hn::Vec<Floats>;

void Accumulate(const float* HWY_RESTRICT x, float* HWY_RESTRICT y, std::size_t size) {
  const Floats d;
  for_lanes(d, size, [&](std::size_t i, auto lanes) HWY_ATTR {
    store(hn::Add(load(d, x + i, lanes), load(d, y + i, lanes)), d, y + i, lanes);
  });
}

// The inputs of one row: each runs along or stands still.
struct RowInputs {
  const float *a, *b, *c;
  bool a_runs, b_runs, c_runs;
};

template <class Op>
HWY_INLINE void Row2(const Op& op, const RowInputs& in, float* y, std::size_t count) {
  const Floats d;
  if (in.a_runs && in.b_runs)
    return for_lanes(d, count, [&](std::size_t i, auto lanes) HWY_ATTR {
      store(op(load(d, in.a + i, lanes), load(d, in.b + i, lanes)), d, y + i, lanes);
    });
  if (in.a_runs) {
    const V b = hn::Set(d, *in.b);
    return for_lanes(
        d, count, [&](std::size_t i, auto lanes) HWY_ATTR { store(op(load(d, in.a + i, lanes), b), d, y + i, lanes); });
  }
  const V a = hn::Set(d, *in.a);
  if (in.b_runs)
    return for_lanes(
        d, count, [&](std::size_t i, auto lanes) HWY_ATTR { store(op(a, load(d, in.b + i, lanes)), d, y + i, lanes); });
  const V value = op(a, hn::Set(d, *in.b));
  for_lanes(d, count, [&](std::size_t i, auto lanes) HWY_ATTR { store(value, d, y + i, lanes); });
}

template <class Op>
HWY_INLINE void Row3(const Op& op, const RowInputs& in, float* y, std::size_t count) {
  const Floats d;
  const V a0 = hn::Set(d, *in.a), b0 = hn::Set(d, *in.b), c0 = hn::Set(d, *in.c);
  for_lanes(d, count, [&](std::size_t i, auto lanes) HWY_ATTR {
    const V a = in.a_runs ? load(d, in.a + i, lanes) : a0;
    const V b = in.b_runs ? load(d, in.b + i, lanes) : b0;
    const V c = in.c_runs ? load(d, in.c + i, lanes) : c0;
    store(op(a, b, c), d, y + i, lanes);
  });
}

template <class Op>
HWY_INLINE void Walk(const Op& op, const BroadcastDims& dims, std::size_t begin, std::size_t end, const float* a,
                     const float* b, const float* c, float* y) {
  const auto step = innermost_strides(dims);
  walk_rows(dims, begin, end, [&](std::size_t out, std::size_t count, const std::array<std::size_t, 3>& at) HWY_ATTR {
    if constexpr (std::is_invocable_v<Op, V, V, V>) {
      Row3(op, {a + at[0], b + at[1], c + at[2], step[0] != 0, step[1] != 0, step[2] != 0}, y + out, count);
    } else {
      Row2(op, {a + at[0], b + at[1], nullptr, step[0] != 0, step[1] != 0, false}, y + out, count);
    }
  });
}

HWY_INLINE hn::Mask<Floats> Unordered(V a, V b) { return hn::Or(hn::IsNaN(a), hn::IsNaN(b)); }

// c where `mine`, c / 2 for ties and NaN, else 0.
HWY_INLINE V Share(hn::Mask<Floats> mine, V a, V b, V c) {
  const hn::Mask<Floats> half = hn::Or(hn::Eq(a, b), Unordered(a, b));
  return hn::IfThenElse(half, hn::Mul(c, hn::Set(Floats(), 0.5f)), hn::IfThenElseZero(mine, c));
}

void Elementwise(ElementwiseOp op, const BroadcastDims& dims, std::size_t begin, std::size_t end, const float* in0,
                 const float* in1, const float* in2, float* y) {
  const auto run = [&](const auto& f) HWY_ATTR { Walk(f, dims, begin, end, in0, in1, in2, y); };
  switch (op) {
    case ElementwiseOp::add:
      return run([](V a, V b) HWY_ATTR { return hn::Add(a, b); });
    case ElementwiseOp::subtract:
      return run([](V a, V b) HWY_ATTR { return hn::Sub(a, b); });
    case ElementwiseOp::multiply:
      return run([](V a, V b) HWY_ATTR { return hn::Mul(a, b); });
    case ElementwiseOp::divide:
      return run([](V a, V b) HWY_ATTR { return hn::Div(a, b); });
    case ElementwiseOp::minimum:
      return run([](V a, V b) HWY_ATTR {
        return hn::IfThenElse(Unordered(a, b), hn::Add(a, b), hn::IfThenElse(hn::Lt(b, a), b, a));
      });
    case ElementwiseOp::maximum:
      return run([](V a, V b) HWY_ATTR {
        return hn::IfThenElse(Unordered(a, b), hn::Add(a, b), hn::IfThenElse(hn::Lt(a, b), b, a));
      });
    case ElementwiseOp::divide_denominator:
      return run([](V a, V b, V c) HWY_ATTR { return hn::Div(hn::Mul(hn::Neg(c), hn::Div(a, b)), b); });
    case ElementwiseOp::minimum_share:
      return run([](V a, V b, V c) HWY_ATTR { return Share(hn::Lt(a, b), a, b, c); });
    case ElementwiseOp::maximum_share:
      return run([](V a, V b, V c) HWY_ATTR { return Share(hn::Lt(b, a), a, b, c); });
    case ElementwiseOp::select:
      return run([](V a, V b, V c) HWY_ATTR { return hn::IfThenElse(hn::Eq(a, hn::Zero(Floats())), c, b); });
    case ElementwiseOp::deviation:
      return run([](V a, V b, V c) HWY_ATTR { return hn::Mul(hn::Sub(a, b), c); });
    case ElementwiseOp::exp_difference:
      return run([](V a, V b, V c) HWY_ATTR {
        const V zero = hn::Zero(Floats());
        const auto nothing = hn::Or(hn::Eq(c, zero), hn::Eq(a, hn::Set(Floats(), -HUGE_VALF)));
        const V x = hn::Sub(a, b);
        return hn::IfThenElse(nothing, zero, hn::Mul(ExpOrNaN(Floats(), x), c));
      });
    case ElementwiseOp::where_equal:
      return run([](V a, V b, V c) HWY_ATTR {
        return hn::IfThenElseZero(hn::Or(hn::Eq(a, b), hn::And(hn::IsNaN(a), hn::IsNaN(b))), c);
      });
    case ElementwiseOp::power:
    case ElementwiseOp::power_base:
    case ElementwiseOp::power_exponent:
      return;  // see `powers`
  }
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {

HWY_EXPORT(Accumulate);
HWY_EXPORT(Elementwise);

namespace {

// Powers through the double functions of libm, whose special cases and last digits no short vector code has.
void powers(ElementwiseOp op, const BroadcastDims& dims, std::size_t begin, std::size_t end, const float* a,
            const float* b, const float* c, float* y) {
  const auto step = innermost_strides(dims);
  walk_rows(dims, begin, end, [&](std::size_t out, std::size_t count, const std::array<std::size_t, 3>& at) {
    for (std::size_t i = 0; i < count; ++i)
      y[out + i] = static_cast<float>(reference::elementwise_of<double>(
          op, a[at[0] + i * step[0]], b[at[1] + i * step[1]], c == nullptr ? 0 : c[at[2] + i * step[2]]));
  });
}

}  // namespace

void elementwise(const Device& device, const BroadcastDims& dims, ElementwiseOp op, std::span<const float> a,
                 std::span<const float> b, std::span<const float> c, std::span<float> y) {
  const bool power =
      op == ElementwiseOp::power || op == ElementwiseOp::power_base || op == ElementwiseOp::power_exponent;
  parallel_for(device.pool, dims.size, power ? kGrain / 16 : kGrain, [&](std::size_t begin, std::size_t end) {
    const auto f = power ? powers : TAPESTRY_CALL(device.target, Elementwise);
    f(op, dims, begin, end, a.data(), b.data(), c.data(), y.data());
  });
}

void compare(const Device& device, const BroadcastDims& dims, CompareOp op, std::span<const float> a,
             std::span<const float> b, std::span<std::int64_t> y) {
  parallel_for(device.pool, dims.size, kGrain,
               [&](std::size_t begin, std::size_t end) { reference::compare(dims, op, a, b, y, begin, end); });
}

void accumulate(const Device& device, std::span<const float> x, std::span<float> y) {
  parallel_for(device.pool, y.size(), kGrain, [&](std::size_t begin, std::size_t end) {
    TAPESTRY_CALL(device.target, Accumulate)(x.data() + begin, y.data() + begin, end - begin);
  });
}

}  // namespace tapestry::kernels
#endif
