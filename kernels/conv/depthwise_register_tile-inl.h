// Depthwise convolutions by register tiles: outputs side by side, whose sums stay in registers. Included once for each
// target.

#if defined(TAPESTRY_KERNELS_CONV_DEPTHWISE_TILE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_CONV_DEPTHWISE_TILE_INL_H
#undef TAPESTRY_KERNELS_CONV_DEPTHWISE_TILE_INL_H
#else
#define TAPESTRY_KERNELS_CONV_DEPTHWISE_TILE_INL_H
#endif

#include <array>
#include <cstddef>
#include <utility>

#include "kernels/conv/depthwise.h"
#include "kernels/simd/register_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

constexpr std::size_t kPixels = 8;  // outputs side by side

// Outputs of neighbouring pixels, which have the same taps; they lie `stride_x` apart in x and `stride_y` in y.
struct DepthwiseRegisterTile {
  const DepthwiseRow* rows;
  std::size_t row_count, taps;       // taps of each row
  std::ptrdiff_t tap_x, tap_weight;  // from tap to tap
  std::size_t channels;
  const float *x, *weight, *bias;
  float* y;
  std::size_t stride_x, stride_y;
  bool relu;
  std::size_t begin, end;  // of rows: which inputs from the first output's first tap lie inside x
};

template <std::size_t P>
HWY_INLINE void StoreOutputs(const DepthwiseRegisterTile& t, V (&acc)[P], std::size_t channel, auto lanes) {
#pragma GCC unroll 8
  for (std::size_t p = 0; p < P; ++p) {
    if (t.relu) acc[p] = hn::IfThenZeroElse(hn::Lt(acc[p], hn::Zero(kTag)), acc[p]);
    store(acc[p], kTag, t.y + channel + p * t.stride_y, lanes);
  }
}

template <std::size_t P>
void SumTaps(const DepthwiseRegisterTile& t) {
  for_lanes(kTag, t.channels, [&](std::size_t channel, auto lanes) HWY_ATTR {
    const float *x = t.x + channel, *weight = t.weight + channel;
    const V bias = t.bias == nullptr ? hn::Zero(kTag) : load(kTag, t.bias + channel, lanes);
    V acc[P];
#pragma GCC unroll 8
    for (std::size_t p = 0; p < P; ++p) acc[p] = bias;
    for (const DepthwiseRow* row = t.rows; row != t.rows + t.row_count; ++row) {
      const float *from = x + row->x, *w = weight + row->weight;
      for (std::size_t left = t.taps; left != 0; --left, from += t.tap_x, w += t.tap_weight) {
        const V vw = load(kTag, w, lanes);
#pragma GCC unroll 8
        for (std::size_t p = 0; p < P; ++p) acc[p] = hn::MulAdd(load(kTag, from + p * t.stride_x, lanes), vw, acc[p]);
      }
    }
    StoreOutputs(t, acc, channel, lanes);
  });
}

// As SumTaps, with the taps of a row at once: each input is loaded for all of them.
template <std::size_t P>
void SumRows(const DepthwiseRegisterTile& t) {
  for_lanes(kTag, t.channels, [&](std::size_t channel, auto lanes) HWY_ATTR {
    const V bias = t.bias == nullptr ? hn::Zero(kTag) : load(kTag, t.bias + channel, lanes);
    V acc[P];
#pragma GCC unroll 8
    for (std::size_t p = 0; p < P; ++p) acc[p] = bias;
    for (const DepthwiseRow* row = t.rows; row != t.rows + t.row_count; ++row) {
      const float *from = t.x + row->x + channel, *w = t.weight + row->weight + channel;
      V weights[kDepthwiseRow];
#pragma GCC unroll 3
      for (std::size_t tap = 0; tap < kDepthwiseRow; ++tap, w += t.tap_weight) weights[tap] = load(kTag, w, lanes);
#pragma GCC unroll 10
      for (std::size_t j = 0; j < P + kDepthwiseRow - 1; ++j, from += t.stride_x) {
        if ((j < kDepthwiseRow - 1 && j < t.begin) || (j >= P && j >= t.end)) continue;
        const V input = load(kTag, from, lanes);
#pragma GCC unroll 3
        for (std::size_t tap = 0; tap < kDepthwiseRow; ++tap)
          if (j >= tap && j - tap < P) acc[j - tap] = hn::MulAdd(input, weights[tap], acc[j - tap]);
      }
    }
    StoreOutputs(t, acc, channel, lanes);
  });
}

template <std::size_t... P>
HWY_INLINE void SumTapsOf(std::size_t pixels, bool rows, const DepthwiseRegisterTile& t, std::index_sequence<P...>) {
  static constexpr std::array<void (*)(const DepthwiseRegisterTile&), kPixels> table[2]{{SumTaps<P + 1>...},
                                                                                        {SumRows<P + 1>...}};
  table[rows][pixels - 1](t);
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
