#include "kernels/norm_windows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm_windows.cc"
#include "kernels/highway.h"
//
#include "kernels/norm_mask-inl.h"
#include "kernels/taps-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

using V = hn::Vec<Floats>;
using VI = hn::Vec<TapLanes>;

// Where the taps of a window lie, from its first position.
struct TapOffsets {
  TapOffsets(const NormWindows& w, std::size_t channels) : count(w.taps()) {
    std::size_t tap = 0;
    for (std::size_t i = 0; i < w.kernel[0]; ++i)
      for (std::size_t j = 0; j < w.kernel[1]; ++j)
        for (std::size_t k = 0; k < w.kernel[2]; ++k) at[tap++] = ((i * w.in[1] + j) * w.in[2] + k) * channels;
  }
  std::size_t count;
  std::array<std::size_t, NormWindows::kMostTaps> at;
};

// Calls body(first position's offset in x, offset among windows) for each window.
template <class Body>
HWY_INLINE void ForWindows(const NormWindowRows& r, const Body& body) {
  const NormWindows& w = r.windows;
  const std::size_t step = w.kernel[2] * r.channels;
  std::size_t window = r.begin * w.out(2) * r.channels;
  for (std::size_t row = r.begin; row < r.end; ++row) {
    const std::size_t p1 = row % w.out(1), p0 = row / w.out(1) % w.out(0), n = row / w.rows();
    std::size_t x = ((n * w.in[0] + p0 * w.kernel[0]) * w.in[1] + p1 * w.kernel[1]) * w.in[2] * r.channels;
    for (std::size_t p2 = 0; p2 < w.out(2); ++p2, x += step, window += r.channels) body(x, window);
  }
}

template <bool kRelu, bool kKeep>
HWY_INLINE void LargestOfWindows(const NormWindowRows& rows, const float* HWY_RESTRICT x, const NormColumns& columns,
                                 float* HWY_RESTRICT y, float* HWY_RESTRICT largest, std::uint8_t* HWY_RESTRICT taps) {
  const Floats d;
  const TapLanes dt;
  const TapOffsets offsets(rows.windows, rows.channels);
  ForWindows(rows, [&](std::size_t first, std::size_t window) HWY_ATTR {
    for_lanes(d, rows.channels, [&](std::size_t c, auto lanes) HWY_ATTR {
      const V center = load(d, columns.center + c, lanes), scale = load(d, columns.scale + c, lanes),
              offset = load(d, columns.offset + c, lanes);
      const auto norm = [&](V v) HWY_ATTR { return hn::MulAdd(hn::Sub(v, center), scale, offset); };
      V from = load(d, x + first + c, lanes), best = norm(from);
      VI tap = hn::Zero(dt);
      for (std::size_t t = 1; t < offsets.count; ++t) {
        const V other = load(d, x + first + offsets.at[t] + c, lanes), v = norm(other);
        const auto better = hn::Or(hn::Gt(v, best), hn::IsNaN(v));
        best = hn::IfThenElse(better, v, best);
        if constexpr (kKeep) {
          from = hn::IfThenElse(better, other, from);
          tap = hn::IfThenElse(hn::RebindMask(dt, better), hn::Set(dt, static_cast<std::int32_t>(t)), tap);
        }
      }
      if constexpr (kRelu) best = PositivePart(d, best, best);
      store(best, d, y + window + c, lanes);
      if constexpr (kKeep) {
        store(from, d, largest + window + c, lanes);
        StoreTaps(tap, taps + window + c, lanes);
      }
    });
  });
}

void NormalizeWindows(const NormWindowRows& rows, const float* x, bool relu, const NormColumns& columns, float* y,
                      float* largest, std::uint8_t* taps) {
  if (taps == nullptr)
    return relu ? LargestOfWindows<true, false>(rows, x, columns, y, largest, taps)
                : LargestOfWindows<false, false>(rows, x, columns, y, largest, taps);
  return relu ? LargestOfWindows<true, true>(rows, x, columns, y, largest, taps)
              : LargestOfWindows<false, true>(rows, x, columns, y, largest, taps);
}

void GradientWindows(const NormWindowRows& rows, const float* HWY_RESTRICT x, const float* HWY_RESTRICT g,
                     const std::uint8_t* HWY_RESTRICT taps, const NormColumns& columns, float* HWY_RESTRICT out) {
  const Floats d;
  const TapLanes dt;
  const TapOffsets offsets(rows.windows, rows.channels);
  ForWindows(rows, [&](std::size_t first, std::size_t window) HWY_ATTR {
    for_lanes(d, rows.channels, [&](std::size_t c, auto lanes) HWY_ATTR {
      const V center = load(d, columns.center + c, lanes), slope = load(d, columns.slope + c, lanes),
              rest = load(d, columns.rest + c, lanes);
      const V gradient = hn::Mul(load(d, g + window + c, lanes), load(d, columns.scale + c, lanes));
      const VI tap = LoadTaps(taps + window + c, lanes);
      for (std::size_t t = 0; t < offsets.count; ++t) {
        const std::size_t at = first + offsets.at[t] + c;
        const auto chosen = hn::VecFromMask(dt, hn::Eq(tap, hn::Set(dt, static_cast<std::int32_t>(t))));
        const V others = hn::MulAdd(hn::Sub(load(d, x + at, lanes), center), slope, rest);
        store(hn::Add(hn::And(gradient, hn::BitCast(d, chosen)), others), d, out + at, lanes);
      }
    });
  });
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {
namespace {

HWY_EXPORT(NormalizeWindows);
HWY_EXPORT(GradientWindows);

}  // namespace

void normalize_windows(Target target, const NormWindowRows& rows, const float* x, bool relu, const NormColumns& columns,
                       float* y, float* largest, std::uint8_t* taps) {
  TAPESTRY_CALL(target, NormalizeWindows)(rows, x, relu, columns, y, largest, taps);
}
void gradient_windows(Target target, const NormWindowRows& rows, const float* x, const float* g,
                      const std::uint8_t* taps, const NormColumns& columns, float* out) {
  TAPESTRY_CALL(target, GradientWindows)(rows, x, g, taps, columns, out);
}

}  // namespace tapestry::kernels
#endif
