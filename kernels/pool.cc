#include "kernels/pool.h"

#include <limits>

#include "kernels/joins.h"
#include "kernels/simd/or_null.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/pool.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/simd/taps-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

using Taps = TapLanes;
using V = hn::Vec<Floats>;
using VI = hn::Vec<Taps>;

template <std::size_t kVectors, class Index, class Lanes>
HWY_INLINE void LargestOfPixel(std::span<const PixelJoin> joins, const float* x, float* y, Index* argmax, Lanes lanes) {
  const Floats d;
  const Taps dt;
  const std::size_t step = hn::Lanes(d);
  V best[kVectors];
  VI tap[kVectors];
  const VI first = hn::Set(dt, joins.empty() ? 0 : joins[0].tap);
  for (std::size_t v = 0; v < kVectors; ++v) {
    best[v] = joins.empty() ? hn::Set(d, -std::numeric_limits<float>::infinity())
                            : load(d, x + joins[0].offset + v * step, lanes);
    tap[v] = first;
  }
  for (std::size_t i = 1; i < joins.size(); ++i) {
    const VI other = hn::Set(dt, joins[i].tap);
    for (std::size_t v = 0; v < kVectors; ++v) {
      const float* const from = x + joins[i].offset + v * step;
      if constexpr (kVectors > 1) __builtin_prefetch(from + kFetchAhead);
      const V value = load(d, from, lanes);
      const auto better = hn::Or(hn::Gt(value, best[v]), hn::IsNaN(value));
      best[v] = hn::IfThenElse(better, value, best[v]);
      tap[v] = hn::IfThenElse(hn::RebindMask(dt, better), other, tap[v]);
    }
  }
  for (std::size_t v = 0; v < kVectors; ++v) {
    store(best[v], d, y + v * step, lanes);
    if (argmax != nullptr) StoreTaps(tap[v], argmax + v * step, lanes);
  }
}

template <std::size_t kVectors, class Index, class Lanes>
HWY_INLINE void GatherPixel(std::span<const PixelJoin> joins, const Index* argmax, const float* dy, float* dx,
                            Lanes lanes) {
  const Floats d;
  const Taps dt;
  const std::size_t step = hn::Lanes(d);
  V sum[kVectors];
  for (auto& s : sum) s = hn::Zero(d);
  for (const PixelJoin& join : joins) {
    const VI tap = hn::Set(dt, join.tap);
    for (std::size_t v = 0; v < kVectors; ++v) {
      // As bits: what a masked load would do at half the speed.
      const auto chosen = hn::VecFromMask(dt, hn::Eq(LoadTaps(argmax + join.offset + v * step, lanes), tap));
      const V value = load(d, dy + join.offset + v * step, lanes);
      sum[v] = hn::Add(sum[v], hn::And(value, hn::BitCast(d, chosen)));
    }
  }
  for (std::size_t v = 0; v < kVectors; ++v) store(sum[v], d, dx + v * step, lanes);
}

template <class Index>
HWY_INLINE void LargestOfPixels(const Joins& joins, Arena& arena, std::size_t begin, std::size_t end, const float* x,
                                float* y, Index* argmax) {
  JoinCursor cursor(joins, arena, begin);
  for (std::size_t p = begin; p < end; ++p) {
    if (p > begin) cursor.next();
    const float* from = x + cursor.offset();
    float* to = y + p * joins.channels;
    Index* tap = argmax == nullptr ? nullptr : argmax + p * joins.channels;
    for_blocks(Floats(), joins.channels, [&](std::size_t c, auto vectors, auto lanes) HWY_ATTR {
      LargestOfPixel<vectors()>(cursor.joins(), from + c, to + c, tap == nullptr ? nullptr : tap + c, lanes);
    });
  }
}

template <class Index>
HWY_INLINE void GatherPixels(const Joins& joins, Arena& arena, std::size_t begin, std::size_t end, const Index* argmax,
                             const float* dy, float* dx) {
  JoinCursor cursor(joins, arena, begin);
  for (std::size_t q = begin; q < end; ++q) {
    if (q > begin) cursor.next();
    const float* from = dy + cursor.offset();
    const Index* tap = argmax + cursor.offset();
    float* to = dx + q * joins.channels;
    for_blocks(Floats(), joins.channels, [&](std::size_t c, auto vectors, auto lanes) HWY_ATTR {
      GatherPixel<vectors()>(cursor.joins(), tap + c, from + c, to + c, lanes);
    });
  }
}

void LargestBytes(const Joins& joins, Arena& arena, std::size_t begin, std::size_t end, const float* x, float* y,
                  std::uint8_t* argmax) {
  LargestOfPixels(joins, arena, begin, end, x, y, argmax);
}
void LargestWide(const Joins& joins, Arena& arena, std::size_t begin, std::size_t end, const float* x, float* y,
                 std::int32_t* argmax) {
  LargestOfPixels(joins, arena, begin, end, x, y, argmax);
}
void GatherBytes(const Joins& joins, Arena& arena, std::size_t begin, std::size_t end, const std::uint8_t* argmax,
                 const float* dy, float* dx) {
  GatherPixels(joins, arena, begin, end, argmax, dy, dx);
}
void GatherWide(const Joins& joins, Arena& arena, std::size_t begin, std::size_t end, const std::int32_t* argmax,
                const float* dy, float* dx) {
  GatherPixels(joins, arena, begin, end, argmax, dy, dx);
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {

HWY_EXPORT(LargestBytes);
HWY_EXPORT(LargestWide);
HWY_EXPORT(GatherBytes);
HWY_EXPORT(GatherWide);

namespace {

AxisJoins pool_axis(Arena& arena, const PoolDims& dims, std::size_t axis) {
  return {arena, dims.out[axis], dims.in[axis], [&](std::size_t p, const auto& emit) {
            const double share = reference::pool_share(dims, axis, p);
            reference::for_pool_axis(dims, axis, p, [&](std::size_t q, std::size_t tap) { emit(Join{q, tap, share}); });
          }};
}

// From the positions of y to those of x.
Joins pool_joins(Arena& arena, const PoolDims& dims) {
  return {dims.batch,
          dims.channels,
          dims.kernel,
          {pool_axis(arena, dims, 0), pool_axis(arena, dims, 1), pool_axis(arena, dims, 2)}};
}

}  // namespace

template <class Index>
void max_pool_forward(const Device& device, const PoolDims& dims, std::span<const float> x, std::span<float> y,
                      std::span<Index> argmax) {
  if (y.empty()) return;
  const Joins joins = pool_joins(device.arena, dims);
  const auto run = [&](auto largest) {
    parallel_for(device.pool, joins.owners(), join_grain(joins), [&](std::size_t begin, std::size_t end) {
      largest(joins, device.arena, begin, end, x.data(), y.data(), or_null(argmax));
    });
  };
  if constexpr (sizeof(Index) == 1)
    run(TAPESTRY_CALL(device.target, LargestBytes));
  else
    run(TAPESTRY_CALL(device.target, LargestWide));
}

template <class Index>
void max_pool_backward(const Device& device, const PoolDims& dims, std::span<const Index> argmax,
                       std::span<const float> dy, std::span<float> dx) {
  if (dx.empty()) return;
  const Joins joins = pool_joins(device.arena, dims).transposed(device.arena);
  const auto run = [&](auto gather) {
    parallel_for(device.pool, joins.owners(), join_grain(joins), [&](std::size_t begin, std::size_t end) {
      gather(joins, device.arena, begin, end, argmax.data(), dy.data(), dx.data());
    });
  };
  if constexpr (sizeof(Index) == 1)
    run(TAPESTRY_CALL(device.target, GatherBytes));
  else
    run(TAPESTRY_CALL(device.target, GatherWide));
}

template void max_pool_forward(const Device&, const PoolDims&, std::span<const float>, std::span<float>,
                               std::span<std::uint8_t>);
template void max_pool_forward(const Device&, const PoolDims&, std::span<const float>, std::span<float>,
                               std::span<std::int32_t>);
template void max_pool_backward(const Device&, const PoolDims&, std::span<const std::uint8_t>, std::span<const float>,
                                std::span<float>);
template void max_pool_backward(const Device&, const PoolDims&, std::span<const std::int32_t>, std::span<const float>,
                                std::span<float>);

void avg_pool_forward(const Device& device, const PoolDims& dims, std::span<const float> x, std::span<float> y) {
  if (!y.empty()) weigh_joins(device, pool_joins(device.arena, dims), x, y);
}

void avg_pool_backward(const Device& device, const PoolDims& dims, std::span<const float> dy, std::span<float> dx) {
  if (!dx.empty()) weigh_joins(device, pool_joins(device.arena, dims).transposed(device.arena), dy, dx);
}

}  // namespace tapestry::kernels
#endif
