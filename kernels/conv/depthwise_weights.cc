#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

#include "kernels/conv/depthwise.h"
#include "kernels/reduce.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv/depthwise_weights.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/simd/register_tile-inl.h"

// The gradient of each tap is a sum over pixels, channel by channel. A register tile holds up to 3 x 3 taps of a vector
// of channels in registers while it runs over the lines of a block; what a tap would find in the padding is left out.

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

// R rows of T taps over some lines of y.
struct DepthwiseWeightRegisterTile {
  const CorrelationAxis& axis;  // along the lines
  const DepthwiseWeightsLine* lines;
  std::size_t line_count, pixel, pixel_end;
  std::size_t inside, inside_end;  // the pixels of [pixel, pixel_end) that have all taps
  std::size_t tap;
  std::ptrdiff_t x_row, x_pixel, x_tap;
  std::size_t fetch_dy, fetch_x;  // from what is read to what the next block reads
  std::size_t channels;
  bool add;
  float* dweight;
  std::size_t stride_row;  // of dweight; a tap is `channels` long
};

// Adds the products of some pixels of a line to rows [kBegin, kEnd) of the sums.
template <std::size_t kBegin, std::size_t kEnd, bool kInside, std::size_t R, std::size_t T, std::size_t N>
HWY_INLINE void AddPixels(const DepthwiseWeightRegisterTile& t, const float* x, const float* dy, std::size_t pixel,
                          std::size_t end, auto lanes, V (&acc)[R][T][N]) {
  x += static_cast<std::ptrdiff_t>(pixel) * t.x_pixel;
  dy += pixel * t.channels;
  for (; pixel < end; ++pixel, x += t.x_pixel, dy += t.channels) {
    V vy[N];
#pragma GCC unroll 2
    for (std::size_t n = 0; n < N; ++n) {
      vy[n] = load(kTag, dy + n * hn::Lanes(kTag), lanes);
      if (kInside && t.fetch_dy != 0) {
        __builtin_prefetch(dy + t.fetch_dy + n * hn::Lanes(kTag), 0, 2);
        __builtin_prefetch(x + t.fetch_x + n * hn::Lanes(kTag), 0, 2);
      }
    }
#pragma GCC unroll 3
    for (std::size_t tap = 0; tap < T; ++tap) {
      if (!kInside && static_cast<std::size_t>(t.axis.position(pixel)) + (t.tap + tap) * t.axis.step >= t.axis.in)
        continue;
#pragma GCC unroll 3
      for (std::size_t row = kBegin; row < kEnd; ++row) {
        const float* from = x + static_cast<std::ptrdiff_t>(row) * t.x_row + static_cast<std::ptrdiff_t>(tap) * t.x_tap;
#pragma GCC unroll 2
        for (std::size_t n = 0; n < N; ++n)
          acc[row][tap][n] = hn::MulAdd(load(kTag, from + n * hn::Lanes(kTag), lanes), vy[n], acc[row][tap][n]);
      }
    }
  }
}

template <std::size_t kBegin, std::size_t kEnd, std::size_t R, std::size_t T, std::size_t N>
HWY_INLINE void AddLine(const DepthwiseWeightRegisterTile& t, const float* x, const float* dy, auto lanes,
                        V (&acc)[R][T][N]) {
  AddPixels<kBegin, kEnd, false>(t, x, dy, t.pixel, t.inside, lanes, acc);
  AddPixels<kBegin, kEnd, true>(t, x, dy, t.inside, t.inside_end, lanes, acc);
  AddPixels<kBegin, kEnd, false>(t, x, dy, t.inside_end, t.pixel_end, lanes, acc);
}

// N vectors from a channel on.
template <std::size_t R, std::size_t T, std::size_t N>
HWY_INLINE void SumLines(const DepthwiseWeightRegisterTile& t, std::size_t channel, auto lanes) {
  V acc[R][T][N];
#pragma GCC unroll 3
  for (std::size_t row = 0; row < R; ++row)
#pragma GCC unroll 3
    for (std::size_t tap = 0; tap < T; ++tap)
#pragma GCC unroll 2
      for (std::size_t n = 0; n < N; ++n) acc[row][tap][n] = hn::Zero(kTag);
  for (const DepthwiseWeightsLine* line = t.lines; line != t.lines + t.line_count; ++line) {
    const float *x = line->x + channel, *dy = line->dy + channel;
    const bool first = line->rows.begin == 0, last = line->rows.end == R;
    if (first && last)
      AddLine<0, R>(t, x, dy, lanes, acc);
    else if (R == 3 && last && line->rows.begin == 1)
      AddLine<R - 2, R>(t, x, dy, lanes, acc);
    else if (R == 3 && first && line->rows.end == 2)
      AddLine<0, R - 1>(t, x, dy, lanes, acc);
    else {
      if (first) AddLine<0, 1>(t, x, dy, lanes, acc);
      if (R == 3 && line->rows.begin <= 1 && line->rows.end >= 2) AddLine<R / 2, R / 2 + 1>(t, x, dy, lanes, acc);
      if (last) AddLine<R - 1, R>(t, x, dy, lanes, acc);
    }
  }
#pragma GCC unroll 3
  for (std::size_t row = 0; row < R; ++row)
#pragma GCC unroll 3
    for (std::size_t tap = 0; tap < T; ++tap)
#pragma GCC unroll 2
      for (std::size_t n = 0; n < N; ++n) {
        float* to = t.dweight + row * t.stride_row + tap * t.channels + channel + n * hn::Lanes(kTag);
        store(t.add ? hn::Add(acc[row][tap][n], load(kTag, to, lanes)) : acc[row][tap][n], kTag, to, lanes);
      }
}

template <std::size_t R, std::size_t T>
void DepthwiseWeights(const DepthwiseWeightRegisterTile& t) {
  std::size_t done = 0;
  if constexpr (kTapVectors > 1)
    for (const std::size_t step = kTapVectors * hn::Lanes(kTag); done + step <= t.channels; done += step)
      SumLines<R, T, kTapVectors>(t, done, AllLanes{});
  for_lanes(kTag, t.channels - done,
            [&](std::size_t channel, auto lanes) HWY_ATTR { SumLines<R, T, 1>(t, done + channel, lanes); });
}

HWY_INLINE void DepthwiseWeightsOf(std::size_t rows, std::size_t taps, const DepthwiseWeightRegisterTile& t) {
  static constexpr std::array<void (*)(const DepthwiseWeightRegisterTile&), 9> table{
      DepthwiseWeights<1, 1>, DepthwiseWeights<1, 2>, DepthwiseWeights<1, 3>,
      DepthwiseWeights<2, 1>, DepthwiseWeights<2, 2>, DepthwiseWeights<2, 3>,
      DepthwiseWeights<3, 1>, DepthwiseWeights<3, 2>, DepthwiseWeights<3, 3>};
  table[(rows - 1) * kDepthwiseRow + taps - 1](t);
}

// The lines [begin, end) of y that find x for some of the taps `rows` of axis 1 in plane t0; returns their number.
HWY_INLINE std::size_t FindLines(const DepthwiseWeightsJob& job, std::size_t begin, std::size_t end, std::size_t t0,
                                 TapRange rows, DepthwiseWeightsLine* lines) {
  const Correlation& c = job.c;
  const auto& [batch, planes, columns, pixels] = c.axes;
  DepthwiseWeightsLine* to = lines;
  for (std::size_t i = begin; i < end; ++i) {
    const std::size_t o0 = i / columns.out % planes.out, o1 = i % columns.out;
    const std::size_t plane = static_cast<std::size_t>(planes.position(o0)) + t0 * planes.step;
    const TapRange taps = columns.taps_inside(o1);
    const TapRange inside{std::max(taps.begin, rows.begin), std::min(taps.end, rows.end)};
    if (plane >= planes.in || inside.begin >= inside.end) continue;
    const std::ptrdiff_t row = columns.position(o1) + static_cast<std::ptrdiff_t>(rows.begin * columns.step);
    const std::size_t image = i / columns.out / planes.out * planes.in + plane;
    const std::ptrdiff_t first =
        (static_cast<std::ptrdiff_t>(image * columns.in) + row) * static_cast<std::ptrdiff_t>(pixels.in) + pixels.start;
    *to++ = {.x = job.x + first * static_cast<std::ptrdiff_t>(c.groups),
             .dy = job.dy + i * pixels.out * c.groups,
             .rows = {inside.begin - rows.begin, inside.end - rows.begin}};
  }
  return static_cast<std::size_t>(to - lines);
}

// All taps over pixels [pixel, pixel_end) of the lines [begin, end).
void DepthwiseWeightsOfBlock(const DepthwiseWeightsJob& job, std::size_t begin, std::size_t end, std::size_t pixel,
                             std::size_t pixel_end, bool add, float* dweight) {
  const CorrelationAxis &rows = job.c.axes[2], &axis = job.c.axes[3];
  const std::size_t channels = job.c.groups;
  const auto floats = [&](std::size_t pixels) { return static_cast<std::ptrdiff_t>(pixels * channels); };
  DepthwiseWeightsLine lines[kDepthwiseBlock];
  for (std::size_t t0 = 0; t0 < job.c.axes[1].taps; ++t0)
    for (std::size_t row = 0; row < rows.taps; row += kDepthwiseRow) {
      const TapRange range{row, std::min(row + kDepthwiseRow, rows.taps)};
      const std::size_t count = FindLines(job, begin, end, t0, range, lines);
      for (std::size_t tap = 0; tap < axis.taps; tap += kDepthwiseRow) {
        const std::size_t taps = std::min(kDepthwiseRow, axis.taps - tap);
        std::size_t inside = pixel, inside_end = pixel_end;
        const auto has_all = [&](std::size_t p) {
          const TapRange of = axis.taps_inside(p);
          return of.begin <= tap && of.end >= tap + taps;
        };
        while (inside < inside_end && !has_all(inside)) ++inside;
        while (inside < inside_end && !has_all(inside_end - 1)) --inside_end;
        DepthwiseWeightsLine* to = lines;
        DepthwiseWeightsOf(range.size(), taps,
                           {.axis = axis,
                            .lines = to,
                            .line_count = count,
                            .pixel = pixel,
                            .pixel_end = pixel_end,
                            .inside = inside,
                            .inside_end = inside_end,
                            .tap = tap,
                            .x_row = floats(rows.step * axis.in),
                            .x_pixel = floats(axis.stride),
                            .x_tap = floats(axis.step),
                            .fetch_dy = pixel_end == axis.out ? (end - begin) * axis.out * channels : 0,
                            .fetch_x = (end - begin) * rows.stride * axis.in * channels,
                            .channels = channels,
                            .add = add,
                            .dweight = dweight + ((t0 * rows.taps + row) * axis.taps + tap) * channels,
                            .stride_row = axis.taps * channels});
        for (std::size_t i = 0; i < count; ++i) lines[i].x += floats(taps * axis.step);
      }
    }
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {

HWY_EXPORT(DepthwiseWeightsOfBlock);

void depthwise_backward_weights(const Device& device, const ConvDims& d, const float* x, const float* dy,
                                float* dweight) {
  const bool spread = d.out_channels != d.in_channels;
  const Block copy = spread ? spread_channels(device, d, x) : Block();
  const DepthwiseWeightsJob job{.c = forward_correlation(with_spread_channels(d)),
                                .x = spread ? reinterpret_cast<const float*>(copy.data()) : x,
                                .dy = dy};
  const std::size_t lines = d.batch * d.out[0] * d.out[1], size = d.weight_size();
  // Blocks of some lines, or of a part of one.
  const std::size_t parts = (d.out[2] + kDepthwiseBlock - 1) / kDepthwiseBlock;
  const std::size_t lines_of_block =
      std::max<std::size_t>(1, std::min<std::size_t>(kDepthwiseBlock, kDepthwiseFloats / d.out_channels) / d.out[2]);
  const std::size_t blocks = (lines + lines_of_block - 1) / lines_of_block * parts;
  const std::size_t chunks =
      std::clamp<std::size_t>(d.y_size() * d.taps() / (8 * kGrain), 1, std::min<std::size_t>(16, blocks));
  const Block partial = device.arena.allocate(chunks * size * sizeof(float));
  float* sums = reinterpret_cast<float*>(partial.data());
  device.pool.run(chunks, [&](std::size_t chunk) {
    for (std::size_t first = blocks * chunk / chunks, block = first; block < blocks * (chunk + 1) / chunks; ++block) {
      const std::size_t line = block / parts * lines_of_block, part = block % parts;
      TAPESTRY_CALL(device.target, DepthwiseWeightsOfBlock)
      (job, line, std::min(lines, line + lines_of_block), d.out[2] * part / parts, d.out[2] * (part + 1) / parts,
       block != first, sums + chunk * size);
    }
  });
  sum_rows(device, chunks, size, std::span<const float>(sums, chunks * size), std::span(dweight, size), true);
}

}  // namespace tapestry::kernels
#endif
