// Depthwise convolutions along lines in which neighbours share inputs: three taps a row, no stride, no dilation.
// Included once for each target.

#if defined(TAPESTRY_KERNELS_CONV_DEPTHWISE_SLIDE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_CONV_DEPTHWISE_SLIDE_INL_H
#undef TAPESTRY_KERNELS_CONV_DEPTHWISE_SLIDE_INL_H
#else
#define TAPESTRY_KERNELS_CONV_DEPTHWISE_SLIDE_INL_H
#endif

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include "kernels/conv/depthwise.h"
#include "kernels/simd/register_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

// All outputs of some lines that have the same taps, where neighbours share inputs.
struct DepthwiseSlide {
  const DepthwiseRow* rows;
  std::ptrdiff_t tap_weight;
  std::size_t channels, lines, outputs;
  std::size_t inside, inside_end;  // which inputs, counted from the first tap of the first output, lie inside x
  const float *x, *weight, *bias;
  float* y;
  std::size_t stride_y;
  std::size_t line_x, line_y;  // from line to line
  std::size_t fetch_x;         // from the last row that a line reads to the one to fetch meanwhile
  bool add;                    // to y, instead of to the bias
  bool relu;
};

// Adds an input to the sums of the outputs that see it; that of tap t is acc[(t + kTurn) % 3].
template <std::size_t kTurn, std::size_t R, std::size_t N>
HWY_INLINE void AddInput(const float* const (&x)[R], std::size_t at, const V (&weight)[R][kDepthwiseRow][N], auto lanes,
                         V (&acc)[kDepthwiseRow][N]) {
#pragma GCC unroll 3
  for (std::size_t row = 0; row < R; ++row)
#pragma GCC unroll 2
    for (std::size_t n = 0; n < N; ++n) {
      const V input = load(kTag, x[row] + at + n * hn::Lanes(kTag), lanes);
#pragma GCC unroll 3
      for (std::size_t tap = 0; tap < kDepthwiseRow; ++tap) {
        V& sum = acc[(tap + kTurn) % kDepthwiseRow][n];
        sum = hn::MulAdd(input, weight[row][tap][n], sum);
      }
    }
}

// R rows of taps of N vectors of channels. Each input is loaded once: input i is tap 0 of output i, tap 1 of the one
// before it and tap 2 of the one before that, which is then complete.
template <std::size_t R, std::size_t N>
HWY_INLINE void SlideVectors(const DepthwiseSlide& t, std::size_t channel, auto lanes) {
  constexpr std::size_t kLast = kDepthwiseRow - 1;
  const std::size_t step = hn::Lanes(kTag), channels = t.channels, stride_y = t.stride_y, outputs = t.outputs;
  const std::size_t fetch_x = t.fetch_x, line_y = t.line_y, inside = t.inside, inside_end = t.inside_end;
  const bool add = t.add, relu = t.relu;
  V weight[R][kDepthwiseRow][N], acc[kDepthwiseRow][N], bias[N];
  const float* x[R];
#pragma GCC unroll 3
  for (std::size_t row = 0; row < R; ++row) {
    x[row] = t.x + t.rows[row].x + channel;
    const float* from = t.weight + t.rows[row].weight + channel;
#pragma GCC unroll 3
    for (std::size_t tap = 0; tap < kDepthwiseRow; ++tap, from += t.tap_weight)
#pragma GCC unroll 2
      for (std::size_t n = 0; n < N; ++n) weight[row][tap][n] = load(kTag, from + n * step, lanes);
  }
#pragma GCC unroll 2
  for (std::size_t n = 0; n < N; ++n)
    bias[n] = t.bias == nullptr ? hn::Zero(kTag) : load(kTag, t.bias + channel + n * step, lanes);
  std::size_t i = 0, at = 0;
  float* y = nullptr;  // of the output that input i completes
  const auto begin = [&](V(&sums)[N]) HWY_ATTR {
#pragma GCC unroll 2
    for (std::size_t n = 0; n < N; ++n)
      sums[n] = add && i < outputs ? load(kTag, y + kLast * stride_y + n * step, lanes) : bias[n];
  };
  const auto finish = [&](const V(&sums)[N]) HWY_ATTR {
#pragma GCC unroll 2
    for (std::size_t n = 0; n < N; ++n) {
      const V sum = relu ? hn::IfThenZeroElse(hn::Lt(sums[n], hn::Zero(kTag)), sums[n]) : sums[n];
      store(sum, kTag, y + n * step, lanes);
      __builtin_prefetch(y + line_y + n * step, 1, 2);
      __builtin_prefetch(x[R - 1] + at + fetch_x + n * step, 0, 2);
    }
  };
  const auto next = [&]() HWY_ATTR { ++i, at += channels, y += stride_y; };
  const auto edge = [&](std::size_t end) HWY_ATTR {  // inputs up to `end`, of which some lie outside
    for (; i < end; next()) {
#pragma GCC unroll 2
      for (std::size_t n = 0; n < N; ++n) acc[2][n] = acc[1][n], acc[1][n] = acc[0][n];
      begin(acc[0]);
      if (i >= inside && i < inside_end) AddInput<0>(x, at, weight, lanes, acc);
      if (i >= kLast) finish(acc[kLast]);
    }
  };
  const auto turn = [&](auto turned) HWY_ATTR {  // an input inside that completes an output
    begin(acc[turned]);
    AddInput<turned>(x, at, weight, lanes, acc);
    finish(acc[(kLast + turned) % kDepthwiseRow]);
    next();
  };
  const std::size_t total = outputs + kLast, all_end = std::min(outputs, inside_end);
  for (std::size_t line = 0; line < t.lines; ++line) {
    i = at = 0;
    y = t.y + line * line_y + channel - kLast * stride_y;
#pragma GCC unroll 2
    for (std::size_t n = 0; n < N; ++n) acc[0][n] = acc[1][n] = bias[n];
    edge(std::min(std::max(kLast, inside), total));
    while (i + kDepthwiseRow <= all_end) {
      turn(std::integral_constant<std::size_t, 2>{});
      turn(std::integral_constant<std::size_t, 1>{});
      turn(std::integral_constant<std::size_t, 0>{});
    }
    edge(total);
#pragma GCC unroll 3
    for (std::size_t row = 0; row < R; ++row) x[row] += t.line_x;
  }
}

template <std::size_t R>
void SlideRows(const DepthwiseSlide& t) {
  std::size_t done = 0;
  if constexpr (kTapVectors > 1)
    for (const std::size_t step = kTapVectors * hn::Lanes(kTag); done + step <= t.channels; done += step)
      SlideVectors<R, kTapVectors>(t, done, AllLanes{});
  for_lanes(kTag, t.channels - done,
            [&](std::size_t channel, auto lanes) HWY_ATTR { SlideVectors<R, 1>(t, done + channel, lanes); });
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
