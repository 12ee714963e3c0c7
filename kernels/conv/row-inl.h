// The innermost part of convolutions with few output channels: a register tile one vector wide whose lines lie along
// the rows, where each input serves all taps of a row that meet it. Included once for each target.

#if defined(TAPESTRY_KERNELS_CONV_ROW_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_CONV_ROW_INL_H
#undef TAPESTRY_KERNELS_CONV_ROW_INL_H
#else
#define TAPESTRY_KERNELS_CONV_ROW_INL_H
#endif

#include <array>
#include <cstddef>
#include <utility>

#include "kernels/conv/register_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

// Accumulators of a register tile, as many as the registers hold beside the weights of the taps and an input or two.
template <std::size_t TAPS>
constexpr std::size_t kRowPixels = (HWY_TARGET == HWY_AVX3 ? 32 : 16) - 3 - TAPS;

// Whether RowRegisterTile computes the correlation: neighbours share inputs, and each of them reads at least one inside
// x, so that only the first and the last inputs of a tile may lie outside.
inline bool IsRowCorrelation(const Correlation& c) {
  const CorrelationAxis& row = c.axes[3];
  return c.columns <= hn::Lanes(kTag) && (row.taps == 3 || row.taps == 5) && row.stride == 1 && row.step == 1 &&
         row.out >= 4 && row.position(0) + static_cast<std::ptrdiff_t>(row.taps) > 0 &&
         row.position(row.out) <= static_cast<std::ptrdiff_t>(row.in);
}

// Each output sums channel by channel, the taps of a row one after the other; inputs outside [t.begin, t.end) are left
// out.
template <std::size_t LINES, std::size_t LENGTH, std::size_t TAPS>
void RowRegisterTile(const ConvRegisterTile& t) {
  const std::size_t lanes = hn::Lanes(kTag), stride = t.in_stride, tap_stride = t.tap_stride;
  const std::size_t begin = t.begin, end = t.end;
  V acc[LINES][LENGTH][1];
  StartSums(t, acc);
  const float* panel = t.panel;
  const float* in[LINES];
#pragma GCC unroll 4
  for (std::size_t i = 0; i < LINES; ++i) in[i] = t.in[i];
  for (const ConvRun *run = t.runs, *last = run + t.run_count; run != last; ++run) {
#pragma GCC unroll 4
    for (std::size_t i = 0; i < LINES; ++i) in[i] += run->jump;
    panel += run->panel_jump;
    for (std::size_t k = run->count; k > 0; --k, panel += lanes) {
      V weights[TAPS];
#pragma GCC unroll 5
      for (std::size_t tap = 0; tap < TAPS; ++tap) weights[tap] = hn::LoadU(kTag, panel + tap * tap_stride);
#pragma GCC unroll 4
      for (std::size_t i = 0; i < LINES; ++i) {
        const float* at = in[i]++;
#pragma GCC unroll 32
        for (std::size_t j = 0; j < LENGTH + TAPS - 1; ++j, at += stride) {
          if ((j < TAPS - 1 && j < begin) || (j >= LENGTH && j >= end)) continue;
          const V pixel = hn::Set(kTag, *at);
#pragma GCC unroll 5
          for (std::size_t tap = 0; tap < TAPS; ++tap)
            if (j >= tap && j - tap < LENGTH) acc[i][j - tap][0] = hn::MulAdd(pixel, weights[tap], acc[i][j - tap][0]);
        }
      }
    }
  }
  StoreSums(t, acc);
}

template <std::size_t LINES, std::size_t LENGTH, std::size_t TAPS>
constexpr RegisterTileFunction RowRegisterTileOrNone() {
  if constexpr (LINES * LENGTH <= kRowPixels<TAPS>)
    return RowRegisterTile<LINES, LENGTH, TAPS>;
  else
    return nullptr;
}

template <std::size_t LINES, std::size_t TAPS, std::size_t... R>
constexpr std::array<RegisterTileFunction, sizeof...(R)> RowRegisterTiles(std::index_sequence<R...>) {
  return {RowRegisterTileOrNone<LINES, R + 1, TAPS>()...};
}

template <std::size_t TAPS, class Lengths = std::make_index_sequence<kRowPixels<TAPS>>>
constexpr std::array<std::array<RegisterTileFunction, kRowPixels<TAPS>>, kMaxLines> kRowRegisterTiles{
    RowRegisterTiles<1, TAPS>(Lengths{}), RowRegisterTiles<2, TAPS>(Lengths{}), RowRegisterTiles<3, TAPS>(Lengths{}),
    RowRegisterTiles<4, TAPS>(Lengths{})};

inline std::size_t MaxRowPixels(std::size_t taps) { return taps == 3 ? kRowPixels<3> : kRowPixels<5>; }

HWY_INLINE RegisterTileFunction RowRegisterTileFor(std::size_t lines, std::size_t length, std::size_t taps) {
  return taps == 3 ? kRowRegisterTiles<3>[lines - 1][length - 1] : kRowRegisterTiles<5>[lines - 1][length - 1];
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
