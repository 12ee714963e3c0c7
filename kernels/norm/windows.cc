#include "kernels/norm/windows.h"

#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm/windows.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/norm/mask-inl.h"
#include "kernels/norm/stream-inl.h"
#include "kernels/simd/taps-inl.h"

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

// Calls body(how many taps windows have), which is known to the compiler for the usual windows: loads of one tap each
// are an order that the prefetcher of the CPU sees through.
template <class Body>
HWY_INLINE void WithTaps(const TapOffsets& offsets, const Body& body) {
  if (offsets.count == 4) return body(std::integral_constant<std::size_t, 4>());
  if (offsets.count == 8) return body(std::integral_constant<std::size_t, 8>());
  body(offsets.count);
}

// The norm itself. Forward and backward must find the same sign, so it is written once.
struct WindowFactors {
  template <class Lanes>
  HWY_INLINE WindowFactors(const NormColumns& columns, std::size_t c, Lanes lanes)
      : center(load(Floats(), columns.center + c, lanes)),
        scale(load(Floats(), columns.scale + c, lanes)),
        offset(load(Floats(), columns.offset + c, lanes)) {}
  HWY_INLINE V operator()(V x) const { return hn::MulAdd(hn::Sub(x, center), scale, offset); }
  V center, scale, offset;
};

template <bool kKeep, class Count>
HWY_INLINE void LargestOfWindows(const NormWindowRows& rows, const TapOffsets& offsets, Count count,
                                 const float* HWY_RESTRICT x, const NormColumns& columns, const NormWindowValues& to) {
  const Floats d;
  const TapLanes dt;
  WithStream(rows.stream, [&](auto stream) HWY_ATTR {
    constexpr bool kStream = decltype(stream)::value;
    ForWindows(rows, [&](std::size_t first, std::size_t window) HWY_ATTR {
      for_lanes(d, rows.channels, [&](std::size_t c, auto lanes) HWY_ATTR {
        const WindowFactors norm(columns, c, lanes);
        V from = ReadAhead(d, x + first + c, lanes), best = norm(from);
        VI tap = hn::Zero(dt);
        for (std::size_t t = 1; t < count; ++t) {
          const V other = ReadAhead(d, x + first + offsets.at[t] + c, lanes), v = norm(other);
          const auto better = hn::Or(hn::Gt(v, best), hn::IsNaN(v));
          best = hn::IfThenElse(better, v, best);
          if constexpr (kKeep) {
            from = hn::IfThenElse(better, other, from);
            tap = hn::IfThenElse(hn::RebindMask(dt, better), hn::Set(dt, static_cast<std::int32_t>(t)), tap);
          }
        }
        if (rows.relu) best = PositivePart(d, best, best);
        Write<kStream>(d, best, to.y + window + c, lanes);
        if constexpr (kKeep) {
          Write<kStream>(d, from, to.largest + window + c, lanes);
          StoreTaps(tap, to.taps + window + c, lanes);
        }
      });
    });
  });
}

void NormalizeWindows(const NormWindowRows& rows, const float* x, const NormColumns& columns,
                      const NormWindowValues& to) {
  const TapOffsets offsets(rows.windows, rows.channels);
  WithTaps(offsets, [&](auto count) HWY_ATTR {
    if (to.taps == nullptr) return LargestOfWindows<false>(rows, offsets, count, x, columns, to);
    LargestOfWindows<true>(rows, offsets, count, x, columns, to);
  });
}

void GradientWindows(const NormWindowRows& rows, const float* HWY_RESTRICT x, const NormWindowValues& from,
                     const float* HWY_RESTRICT dy, const NormColumns& columns, float* HWY_RESTRICT out) {
  const Floats d;
  const TapLanes dt;
  const TapOffsets offsets(rows.windows, rows.channels);
  WithTaps(offsets, [&](auto count) HWY_ATTR {
    WithStream(rows.stream, [&](auto stream) HWY_ATTR {
      ForWindows(rows, [&](std::size_t first, std::size_t window) HWY_ATTR {
        for_lanes(d, rows.channels, [&](std::size_t c, auto lanes) HWY_ATTR {
          const WindowFactors norm(columns, c, lanes);
          const V slope = load(d, columns.slope + c, lanes), rest = load(d, columns.rest + c, lanes);
          V g = ReadAhead(d, dy + window + c, lanes);
          if (rows.relu) g = PositivePart(d, norm(ReadAhead(d, from.largest + window + c, lanes)), g);
          const V gradient = hn::Mul(g, norm.scale);
          const VI tap = LoadTaps(from.taps + window + c, lanes);
          for (std::size_t t = 0; t < count; ++t) {
            const std::size_t at = first + offsets.at[t] + c;
            const auto chosen = hn::VecFromMask(dt, hn::Eq(tap, hn::Set(dt, static_cast<std::int32_t>(t))));
            const V others = hn::MulAdd(hn::Sub(ReadAhead(d, x + at, lanes), norm.center), slope, rest);
            Write<decltype(stream)::value>(d, hn::Add(hn::And(gradient, hn::BitCast(d, chosen)), others), out + at,
                                           lanes);
          }
        });
      });
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

void normalize_windows(Target target, const NormWindowRows& rows, const float* x, const NormColumns& columns,
                       const NormWindowValues& to) {
  TAPESTRY_CALL(target, NormalizeWindows)(rows, x, columns, to);
}
void gradient_windows(Target target, const NormWindowRows& rows, const float* x, const NormWindowValues& from,
                      const float* dy, const NormColumns& columns, float* out) {
  TAPESTRY_CALL(target, GradientWindows)(rows, x, from, dy, columns, out);
}

}  // namespace tapestry::kernels
#endif
