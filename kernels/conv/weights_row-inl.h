// The gradient of a convolution's weight where a panel of outputs is one vector wide and the taps of a row of the
// kernel find neighbouring pixels: a register tile holds all of them, so that each number of x it loads serves every
// tap. Included once for each target.

#if defined(TAPESTRY_KERNELS_CONV_WEIGHTS_ROW_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_CONV_WEIGHTS_ROW_INL_H
#undef TAPESTRY_KERNELS_CONV_WEIGHTS_ROW_INL_H
#else
#define TAPESTRY_KERNELS_CONV_WEIGHTS_ROW_INL_H
#endif

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "kernels/conv/runs-inl.h"
#include "kernels/conv/weights_register_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

// Neighbouring pixels of a row of y, and the positions of x that some tap joins to one of them: tap t joins position r
// to pixel r - t, counted from the first pixel.
struct RowRun {
  const float* x;            // at position `first`
  std::size_t pixel, count;  // the first pixel, counted from that of the block
  std::size_t first, last;   // positions [first, last) lie inside x
};

// dweight[tap, channel, columns] (+)= the sum over the pixels of all runs of x[pixel + tap, channel] dy[pixel,
// columns].
struct WeightRowRegisterTileArgs {
  const RowRun* runs;
  std::size_t run_count, first_channel;
  std::size_t stride_x;  // from pixel to pixel
  const float* dy;       // of the first pixel of the block
  std::size_t stride_dy;
  bool add;
  float* dweight;
  std::size_t stride_tap, stride_channel, columns;
  FetchAhead::Range ahead;
};

// Inside a run all taps share the x of a position; near its ends, where some of them leave the run, each reads its own.
template <std::size_t kTaps, std::size_t kChannels>
void WeightRowRegisterTile(const WeightRowRegisterTileArgs& t) {
  V acc[kChannels][kTaps];
#pragma GCC unroll 16
  for (std::size_t c = 0; c < kChannels; ++c)
#pragma GCC unroll 8
    for (std::size_t tap = 0; tap < kTaps; ++tap) acc[c][tap] = hn::Zero(kTag);
  FetchAhead::Range ahead = t.ahead;
  const std::size_t lines = ahead.lines_of_run(t.run_count);
  for (const RowRun* run = t.runs; run != t.runs + t.run_count; ++run) {
    ahead.fetch(lines);
    const float *x = run->x + t.first_channel, *dy = t.dy + run->pixel * t.stride_dy;
    const std::size_t inside = std::clamp(kTaps - 1, run->first, run->last), outside = std::min(run->count, run->last);
    for (std::size_t r = run->first;; ++r, x += t.stride_x) {
      if (r == inside) {
        for (const float* at = dy + r * t.stride_dy; r < outside; ++r, x += t.stride_x, at += t.stride_dy) {
          V vy[kTaps];
#pragma GCC unroll 8
          for (std::size_t tap = 0; tap < kTaps; ++tap) vy[tap] = hn::LoadU(kTag, at - tap * t.stride_dy);
#pragma GCC unroll 16
          for (std::size_t c = 0; c < kChannels; ++c) {
            const V vx = hn::Set(kTag, x[c]);
#pragma GCC unroll 8
            for (std::size_t tap = 0; tap < kTaps; ++tap) acc[c][tap] = hn::MulAdd(vx, vy[tap], acc[c][tap]);
          }
        }
      }
      if (r >= run->last) break;
#pragma GCC unroll 8
      for (std::size_t tap = 0; tap < kTaps; ++tap) {
        if (r - tap >= run->count) continue;  // r - tap wraps where it is negative
        const V vy = hn::LoadU(kTag, dy + (r - tap) * t.stride_dy);
#pragma GCC unroll 16
        for (std::size_t c = 0; c < kChannels; ++c) acc[c][tap] = hn::MulAdd(hn::Set(kTag, x[c]), vy, acc[c][tap]);
      }
    }
  }
#pragma GCC unroll 16
  for (std::size_t c = 0; c < kChannels; ++c)
#pragma GCC unroll 8
    for (std::size_t tap = 0; tap < kTaps; ++tap) {
      float* to = t.dweight + tap * t.stride_tap + c * t.stride_channel;
      StoreSome(t.add ? hn::Add(acc[c][tap], LoadSome(to, t.columns)) : acc[c][tap], to, t.columns);
    }
}

// The most channels of a register tile: its sums lie in registers beside a vector of dy for each tap and one of x.
constexpr std::size_t MostChannels(std::size_t taps) { return ((HWY_TARGET == HWY_AVX3 ? 32 : 16) - taps - 1) / taps; }

// The most taps of a row; with 16 registers, 5 would leave room for too few channels.
constexpr std::size_t kRowTaps = HWY_TARGET == HWY_AVX3 ? 5 : 3;

using WeightRowRegisterTileFunction = void (*)(const WeightRowRegisterTileArgs&);

template <std::size_t kTaps, std::size_t... C>
constexpr std::array<WeightRowRegisterTileFunction, sizeof...(C)> WeightRowRegisterTiles(std::index_sequence<C...>) {
  return {WeightRowRegisterTile<kTaps, C + 1>...};
}

inline WeightRowRegisterTileFunction WeightRowRegisterTileFor(std::size_t taps, std::size_t channels) {
  static constexpr std::array of3 = WeightRowRegisterTiles<3>(std::make_index_sequence<MostChannels(3)>{});
  static constexpr std::array most =
      WeightRowRegisterTiles<kRowTaps>(std::make_index_sequence<MostChannels(kRowTaps)>{});
  return taps == 3 ? of3[channels - 1] : most[channels - 1];
}

// The runs of the pixels [begin, end) that a row of taps, that of `tap`, joins to x; returns their number.
HWY_INLINE std::size_t FindRowRuns(const ConvDims& d, const float* x, ConvDims::Axes tap, std::size_t begin,
                                   std::size_t end, RowRun* runs) {
  std::size_t count = 0;
  ForPieces(d, x, tap, begin, end, [&](const float* row, std::size_t pixel, std::size_t p, std::size_t p_end) {
    const std::size_t first = std::max(p, d.pad[2]), last = std::min(p_end + d.kernel[2] - 1, d.pad[2] + d.in[2]);
    if (first < last) runs[count++] = {row + (first - d.pad[2]) * d.in_channels, pixel, p_end - p, first - p, last - p};
  });
  return count;
}

// As WeightsOfTask; the plan's taps are rows of taps.
void RowWeightsOfTask(const WeightsInputs& in, const WeightsTask& task, bool add, float* dweight, float* packed) {
  const ConvDims& d = in.d;
  const std::size_t lanes = hn::Lanes(kTag), inputs = d.in_channels / d.groups, columns = in.plan.outputs;
  const std::size_t most = MostChannels(d.kernel[2]), tiles = (inputs + most - 1) / most;
  const std::size_t visits = (task.panel_end - task.panel) * (task.tap_end - task.tap) * tiles;
  RowRun runs[WeightsPlan::kBlock];
  for (std::size_t begin = task.pixel; begin < task.pixel_end; begin += in.plan.block) {
    const std::size_t end = std::min(begin + in.plan.block, task.pixel_end);
    FetchAhead ahead = FetchAfter(in, task, end, visits);
    for (std::size_t group = task.panel; group < task.panel_end; ++group) {
      WeightRowRegisterTileArgs t{.runs = runs,
                                  .run_count = 0,
                                  .first_channel = 0,
                                  .stride_x = d.in_channels,
                                  .dy = in.dy + begin * d.out_channels + group * columns,
                                  .stride_dy = d.out_channels,
                                  .add = add || begin != task.pixel,
                                  .dweight = nullptr,
                                  .stride_tap = inputs * d.out_channels,
                                  .stride_channel = d.out_channels,
                                  .columns = columns,
                                  .ahead = {}};
      if (task.dbias != nullptr) AddPixels(t.dy, d.out_channels, end - begin, columns, task.dbias + group * columns);
      if (columns != lanes) {
        PackB(t.dy, d.out_channels, false, end - begin, columns, lanes, packed);
        t.dy = packed;
        t.stride_dy = lanes;
      }
      for (std::size_t row = task.tap; row < task.tap_end; ++row) {
        const ConvDims::Axes tap{row / d.kernel[1], row % d.kernel[1], 0};
        t.run_count = FindRowRuns(d, in.x + group * inputs, tap, begin, end, runs);
        for (std::size_t tile = 0; tile < tiles; ++tile) {
          const std::size_t channel = inputs * tile / tiles, channels = inputs * (tile + 1) / tiles - channel;
          t.first_channel = channel;
          t.dweight = dweight + (row * d.kernel[2] * inputs + channel) * d.out_channels + group * columns;
          t.ahead = ahead.next();
          WeightRowRegisterTileFor(d.kernel[2], channels)(t);
        }
      }
    }
  }
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
