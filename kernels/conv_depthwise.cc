#include "kernels/conv_depthwise.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv_depthwise.cc"
#include "kernels/highway.h"
//
#include "kernels/register_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

constexpr std::size_t kPixels = 8;  // outputs side by side

// `count` taps of P outputs and one vector of channels. Outputs lie `stride` apart in x and `stride_y` in y.
template <std::size_t P, class Lanes>
HWY_INLINE void DepthwiseTile(const DepthwiseTap* taps, std::size_t count, const float* x, std::size_t stride,
                              const float* weight, const float* bias, bool relu, float* y, std::size_t stride_y,
                              Lanes lanes) {
  V acc[P];
  const V start = bias == nullptr ? hn::Zero(kTag) : load(kTag, bias, lanes);
#pragma GCC unroll 8
  for (std::size_t p = 0; p < P; ++p) acc[p] = start;
  for (const DepthwiseTap* tap = taps; tap != taps + count; ++tap) {
    const V w = load(kTag, weight + tap->weight, lanes);
#pragma GCC unroll 8
    for (std::size_t p = 0; p < P; ++p) acc[p] = hn::MulAdd(load(kTag, x + tap->x + p * stride, lanes), w, acc[p]);
  }
#pragma GCC unroll 8
  for (std::size_t p = 0; p < P; ++p) {
    if (relu) acc[p] = hn::IfThenZeroElse(hn::Lt(acc[p], hn::Zero(kTag)), acc[p]);
    store(acc[p], kTag, y + p * stride_y, lanes);
  }
}

HWY_INLINE std::size_t FindTaps(const Correlation& c, const std::size_t (&at)[3], TapRange range0, TapRange range1,
                                const LinePiece& piece, DepthwiseTap* taps) {
  const auto position = [&](std::size_t axis, std::size_t i, std::size_t j) {
    return static_cast<std::size_t>(c.axes[axis].start) + i * c.axes[axis].stride + j * c.axes[axis].step;
  };
  const auto weight_tap = [&](std::size_t axis, std::size_t j) {
    return static_cast<std::size_t>(c.axes[axis].weight_tap +
                                    static_cast<std::ptrdiff_t>(j) * c.axes[axis].weight_step);
  };
  std::size_t count = 0;
  for (std::size_t j0 = range0.begin; j0 < range0.end; ++j0)
    for (std::size_t j1 = range1.begin; j1 < range1.end; ++j1)
      for (std::size_t j2 = piece.taps.begin; j2 < piece.taps.end; ++j2) {
        const std::size_t row = (at[0] * c.axes[1].in + position(1, at[1], j0)) * c.axes[2].in + position(2, at[2], j1);
        const std::size_t tap =
            (weight_tap(1, j0) * c.axes[2].kernel + weight_tap(2, j1)) * c.axes[3].kernel + weight_tap(3, j2);
        taps[count++] = {.x = (row * c.axes[3].in + position(3, piece.begin, j2)) * c.groups, .weight = tap * c.groups};
      }
  return count;
}

void DepthwiseLine(const DepthwiseJob& job, const std::size_t (&at)[3], TapRange range0, TapRange range1,
                   DepthwiseTap* taps) {
  const Correlation& c = job.c;
  const std::size_t stride = c.axes[3].stride * c.groups, stride_y = c.axes[3].next * c.groups;
  const auto output = [&](std::size_t axis, std::size_t i) { return c.axes[axis].first + i * c.axes[axis].next; };
  const std::size_t row = (at[0] * c.axes[1].total + output(1, at[1])) * c.axes[2].total + output(2, at[2]);
  for (const LinePiece* piece = job.pieces; piece != job.pieces + job.piece_count; ++piece) {
    const std::size_t count = FindTaps(c, at, range0, range1, *piece, taps);
    float* y = job.y + (row * c.axes[3].total + output(3, piece->begin)) * c.groups;
    for_lanes(kTag, c.groups, [&](std::size_t channel, auto lanes) HWY_ATTR {
      const float* bias = job.bias == nullptr ? nullptr : job.bias + channel;
      const float *x = job.x + channel, *weight = job.weight + channel;
      std::size_t i = 0, outputs = piece->end - piece->begin;
      for (; i + kPixels <= outputs; i += kPixels)
        DepthwiseTile<kPixels>(taps, count, x + i * stride, stride, weight, bias, c.relu, y + channel + i * stride_y,
                               stride_y, lanes);
      for (; i + 2 <= outputs; i += 2)
        DepthwiseTile<2>(taps, count, x + i * stride, stride, weight, bias, c.relu, y + channel + i * stride_y,
                         stride_y, lanes);
      if (i < outputs)
        DepthwiseTile<1>(taps, count, x + i * stride, stride, weight, bias, c.relu, y + channel + i * stride_y,
                         stride_y, lanes);
    });
  }
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {

HWY_EXPORT(DepthwiseLine);

namespace {

std::size_t find_pieces(const CorrelationAxis& axis, LinePiece* pieces) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < axis.out; ++i) {
    const TapRange taps = axis.taps_inside(i);
    if (count == 0 || pieces[count - 1].taps != taps) pieces[count++] = {.begin = i, .end = i, .taps = taps};
    pieces[count - 1].end = i + 1;
  }
  return count;
}

// A correlation of one input and one output a group; tasks own lines of the output.
void correlate_channels(const Device& device, const Correlation& c, const float* x, const float* weight,
                        const float* bias, float* y) {
  const std::size_t line = c.axes[3].out * c.groups, lines = c.axes[0].out * c.axes[1].out * c.axes[2].out;
  if (line * lines == 0) return;
  const Block block = device.arena.allocate(c.axes[3].out * sizeof(LinePiece));
  LinePiece* pieces = reinterpret_cast<LinePiece*>(block.data());
  const DepthwiseJob job{.c = c,
                         .x = x,
                         .weight = weight,
                         .bias = bias,
                         .y = y,
                         .pieces = pieces,
                         .piece_count = find_pieces(c.axes[3], pieces)};
  parallel_for(device.pool, lines, kGrain / line + 1, [&](std::size_t begin, std::size_t end) {
    const Block table = device.arena.allocate(c.depth() * sizeof(DepthwiseTap));
    for (std::size_t i = begin; i < end; ++i) {
      const std::size_t at[3] = {i / c.axes[2].out / c.axes[1].out, i / c.axes[2].out % c.axes[1].out,
                                 i % c.axes[2].out};
      TAPESTRY_CALL(device.target, DepthwiseLine)
      (job, at, c.axes[1].taps_inside(at[1]), c.axes[2].taps_inside(at[2]),
       reinterpret_cast<DepthwiseTap*>(table.data()));
    }
  });
}

// x[pixel, c] = the sum of the channels of `spread` that stand for it.
void gather_channels(const Device& device, const ConvDims& d, const float* spread, float* x) {
  const std::size_t copies = d.out_channels / d.in_channels;
  parallel_for(device.pool, d.x_size(), kGrain / copies, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      x[i] = spread[i * copies];
      for (std::size_t k = 1; k < copies; ++k) x[i] += spread[i * copies + k];
    }
  });
}

}  // namespace

Block spread_channels(const Device& device, const ConvDims& d, const float* x) {
  const std::size_t copies = d.out_channels / d.in_channels;
  Block block = device.arena.allocate(d.x_size() * copies * sizeof(float));
  float* to = reinterpret_cast<float*>(block.data());
  parallel_for(device.pool, d.x_size(), kGrain / copies, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) std::fill_n(to + i * copies, copies, x[i]);
  });
  return block;
}

void depthwise_forward(const Device& device, const ConvDims& d, const float* x, const float* weight, const float* bias,
                       float* y) {
  const bool spread = d.out_channels != d.in_channels;
  const Block block = spread ? spread_channels(device, d, x) : Block();
  correlate_channels(device, forward_correlation(with_spread_channels(d)),
                     spread ? reinterpret_cast<const float*>(block.data()) : x, weight, bias, y);
}

void depthwise_backward_data(const Device& device, const ConvDims& d, const float* weight, const float* dy, float* dx) {
  const ConvDims wide = with_spread_channels(d);
  const bool spread = d.out_channels != d.in_channels;
  const Block block = device.arena.allocate(spread ? wide.x_size() * sizeof(float) : 0);
  float* to = spread ? reinterpret_cast<float*>(block.data()) : dx;
  for (std::size_t p0 = 0; p0 < d.stride[0]; ++p0)
    for (std::size_t p1 = 0; p1 < d.stride[1]; ++p1)
      for (std::size_t p2 = 0; p2 < d.stride[2]; ++p2)
        correlate_channels(device, backward_correlation(wide, {p0, p1, p2}), dy, weight, nullptr, to);
  if (spread) gather_channels(device, d, to, dx);
}

}  // namespace tapestry::kernels
#endif
