#include "kernels/conv/depthwise.h"

#include <algorithm>
#include <array>
#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv/depthwise.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/conv/depthwise_register_tile-inl.h"
#include "kernels/conv/depthwise_slide-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

HWY_INLINE std::size_t WeightTap(const CorrelationAxis& axis, std::size_t tap) {
  return static_cast<std::size_t>(axis.weight_tap + static_cast<std::ptrdiff_t>(tap) * axis.weight_step);
}

// The rows of taps (along the last axis) that outputs of a line have.
HWY_INLINE std::size_t FindRows(const Correlation& c, const std::size_t (&at)[3], TapRange range0, TapRange range1,
                                DepthwiseRow* rows) {
  const auto position = [&](std::size_t axis, std::size_t output, std::size_t tap) {
    return static_cast<std::size_t>(c.axes[axis].position(output)) + tap * c.axes[axis].step;
  };
  std::size_t count = 0;
  for (std::size_t t0 = range0.begin; t0 < range0.end; ++t0)
    for (std::size_t t1 = range1.begin; t1 < range1.end; ++t1) {
      const std::size_t x = (at[0] * c.axes[1].in + position(1, at[1], t0)) * c.axes[2].in + position(2, at[2], t1);
      const std::size_t weight = WeightTap(c.axes[1], t0) * c.axes[2].kernel + WeightTap(c.axes[2], t1);
      rows[count++] = {.x = x * c.axes[3].in * c.groups, .weight = weight * c.axes[3].kernel * c.groups};
    }
  return count;
}

// What the line after this one reads and writes anew, beside the pixels of a register tile: into L2.
HWY_INLINE void FetchNextLine(const Correlation& c, const DepthwiseRegisterTile& t, std::size_t pixels) {
  const std::size_t line_x = c.axes[2].stride * c.axes[3].in * c.groups;
  const std::size_t line_y = c.axes[2].next * c.axes[3].total * c.groups;
  const float* x = t.x + (t.row_count == 0 ? 0 : t.rows[t.row_count - 1].x) + line_x;
  for (std::size_t p = 0; p < pixels; ++p)
    for (std::size_t i = 0; i < t.channels; i += 16) {
      __builtin_prefetch(x + p * t.stride_x + i, 0, 2);
      __builtin_prefetch(t.y + line_y + p * t.stride_y + i, 1, 2);
    }
}

// Tiles of a line for all its pieces.
HWY_INLINE void ComputeLine(const DepthwiseJob& job, const DepthwiseRow* rows, std::size_t row_count, float* y) {
  const CorrelationAxis& axis = job.c.axes[3];
  const std::size_t channels = job.c.groups, stride = axis.stride * channels, stride_y = axis.next * channels;
  for (const LinePiece* piece = job.pieces; piece != job.pieces + job.piece_count; ++piece) {
    const TapRange taps = piece->taps;
    const float *x = job.x, *weight = job.weight;
    if (taps.size() != 0) {
      x += (axis.position(piece->begin) + static_cast<std::ptrdiff_t>(taps.begin * axis.step)) *
           static_cast<std::ptrdiff_t>(channels);
      weight += WeightTap(axis, taps.begin) * channels;
    }
    const std::size_t outputs = piece->end - piece->begin, tiles = (outputs + kPixels - 1) / kPixels;
    for (std::size_t tile = 0; tile < tiles; ++tile) {
      const std::size_t begin = outputs * tile / tiles, end = outputs * (tile + 1) / tiles;
      const std::ptrdiff_t first = axis.position(piece->begin + begin);
      const DepthwiseRegisterTile t{.rows = rows,
                                    .row_count = row_count,
                                    .taps = taps.size(),
                                    .tap_x = static_cast<std::ptrdiff_t>(axis.step * channels),
                                    .tap_weight = axis.weight_step * static_cast<std::ptrdiff_t>(channels),
                                    .channels = channels,
                                    .x = x + begin * stride,
                                    .weight = weight,
                                    .bias = job.bias,
                                    .y = y + (piece->begin + begin) * stride_y,
                                    .stride_x = stride,
                                    .stride_y = stride_y,
                                    .relu = job.c.relu,
                                    .begin = static_cast<std::size_t>(std::max<std::ptrdiff_t>(0, -first)),
                                    .end = static_cast<std::size_t>(static_cast<std::ptrdiff_t>(axis.in) - first)};
      FetchNextLine(job.c, t, end - begin);
      SumTapsOf(end - begin, job.rows, t, std::make_index_sequence<kPixels>{});
    }
  }
}

TileShape DepthwiseTileShape(const DepthwiseJob& job) {
  return {job.rows ? "rows of channels" : "channels", kPixels, hn::Lanes(kTag)};
}

// Lines that have the same taps, whose neighbours share inputs, some rows of taps at a time. `fetch` is the distance in
// rows from the last one that a line reads.
HWY_INLINE void SlideLines(const DepthwiseJob& job, std::size_t lines, const DepthwiseRow* rows, std::size_t row_count,
                           std::size_t fetch, float* y) {
  static constexpr std::array<void (*)(const DepthwiseSlide&), kDepthwiseRow> table{SlideRows<1>, SlideRows<2>,
                                                                                    SlideRows<3>};
  const CorrelationAxis& axis = job.c.axes[3];
  const std::size_t channels = job.c.groups;
  const auto first = std::max<std::ptrdiff_t>(0, -axis.start);
  const auto end = std::max<std::ptrdiff_t>(0, static_cast<std::ptrdiff_t>(axis.in) - axis.start);
  for (std::size_t row = 0; row < row_count; row += kDepthwiseRow) {
    const std::size_t count = std::min(kDepthwiseRow, row_count - row);
    table[count - 1]({.rows = rows + row,
                      .tap_weight = axis.weight_step * static_cast<std::ptrdiff_t>(channels),
                      .channels = channels,
                      .lines = lines,
                      .outputs = axis.out,
                      .inside = static_cast<std::size_t>(first),
                      .inside_end = static_cast<std::size_t>(end),
                      .x = job.x + axis.start * static_cast<std::ptrdiff_t>(channels),
                      .weight = job.weight + WeightTap(axis, 0) * channels,
                      .bias = job.bias,
                      .y = y,
                      .stride_y = axis.next * channels,
                      .line_x = job.c.axes[2].stride * axis.in * channels,
                      .line_y = job.c.axes[2].next * axis.total * channels,
                      .fetch_x = fetch * axis.in * channels,
                      .add = row != 0,
                      .relu = job.c.relu && row + count == row_count});
  }
}

// Lines from `at` on, which have the same taps. With few registers, register tiles keep more sums apart than lines that
// slide.
void DepthwiseLines(const DepthwiseJob& job, std::size_t (&at)[3], std::size_t lines, TapRange range0, TapRange range1,
                    DepthwiseRow* rows) {
  const Correlation& c = job.c;
  const auto output = [&](std::size_t axis, std::size_t i) { return c.axes[axis].first + i * c.axes[axis].next; };
  const auto y = [&] {
    const std::size_t line = (at[0] * c.axes[1].total + output(1, at[1])) * c.axes[2].total + output(2, at[2]);
    return job.y + (line * c.axes[3].total + c.axes[3].first) * c.groups;
  };
  const std::size_t row_count = FindRows(c, at, range0, range1, rows);
  if (kTapVectors > 1 && job.rows && row_count != 0) {
    const std::size_t fetch = (c.axes[2].taps - range1.end) * c.axes[2].step + c.axes[2].stride;
    return SlideLines(job, lines, rows, row_count, fetch, y());
  }
  for (const std::size_t end = at[2] + lines; at[2] < end; ++at[2])
    ComputeLine(job, rows, FindRows(c, at, range0, range1, rows), y());
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {

HWY_EXPORT(DepthwiseLines);
HWY_EXPORT(DepthwiseTileShape);

namespace {

// Whether neighbours share inputs, and each of them reads at least one inside x.
bool in_rows(const CorrelationAxis& row) {
  return row.taps == kDepthwiseRow && row.stride == 1 && row.step == 1 &&
         row.position(0) + static_cast<std::ptrdiff_t>(row.taps) > 0 &&
         row.position(row.out) <= static_cast<std::ptrdiff_t>(row.in);
}

std::size_t find_pieces(const CorrelationAxis& axis, LinePiece* pieces) {
  std::size_t count = 0;
  if (in_rows(axis)) {
    *pieces = {.begin = 0, .end = axis.out, .taps = {0, axis.taps}};
    return 1;
  }
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
                         .piece_count = find_pieces(c.axes[3], pieces),
                         .rows = in_rows(c.axes[3])};
  if (device.meter != nullptr) device.meter->add(TAPESTRY_CALL(device.target, DepthwiseTileShape)(job), c.products());
  parallel_for(device.pool, lines, kGrain / line + 1, [&](std::size_t begin, std::size_t end) {
    const Block table = device.arena.allocate(c.axes[1].taps * c.axes[2].taps * sizeof(DepthwiseRow));
    for (std::size_t i = begin, count = 0; i < end; i += count) {
      std::size_t at[3] = {i / c.axes[2].out / c.axes[1].out, i / c.axes[2].out % c.axes[1].out, i % c.axes[2].out};
      count = std::min(end - i, c.axes[2].end_of_same_taps(at[2]) - at[2]);
      TAPESTRY_CALL(device.target, DepthwiseLines)
      (job, at, count, c.axes[1].taps_inside(at[1]), c.axes[2].taps_inside(at[2]),
       reinterpret_cast<DepthwiseRow*>(table.data()));
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
