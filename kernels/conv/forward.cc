#include <algorithm>
#include <array>
#include <cstdint>

#include "kernels/conv/depthwise.h"
#include "kernels/conv/plan.h"
#include "kernels/matrix_unit.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv/forward.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/conv/register_tile-inl.h"
#include "kernels/conv/row-inl.h"
#include "kernels/simd/pack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

std::size_t ConvPanelWidth(std::size_t columns) {
  const std::size_t lanes = hn::Lanes(kTag);
  return columns <= lanes ? lanes : kVectors * lanes;
}

// Panel `number` of all groups: its rows are the inputs of a sum, in order.
void PackConvPanel(const ConvJob& job, std::size_t number, const float* weight, float* to) {
  const Correlation& c = job.c;
  const std::size_t group = number / job.group_panels, column = number % job.group_panels * job.panel_width;
  const std::size_t columns = std::min(job.panel_width, c.columns - column), width = ConvPanelWidth(columns);
  const std::size_t stride = c.groups * (c.transposed ? c.channels : c.columns);
  const std::size_t first = c.transposed ? column * stride + group * c.channels : group * c.columns + column;
  const auto tap = [&](std::size_t axis, std::size_t j) {
    return static_cast<std::size_t>(c.axes[axis].weight_tap +
                                    static_cast<std::ptrdiff_t>(j) * c.axes[axis].weight_step);
  };
  for (std::size_t j0 = 0; j0 < c.axes[1].taps; ++j0)
    for (std::size_t j1 = 0; j1 < c.axes[2].taps; ++j1)
      for (std::size_t j2 = 0; j2 < c.axes[3].taps; ++j2, to += c.channels * width) {
        const std::size_t at = (tap(1, j0) * c.axes[2].kernel + tap(2, j1)) * c.axes[3].kernel + tap(3, j2);
        PackB(weight + at * (c.transposed ? c.columns : c.channels) * stride + first, stride, c.transposed, c.channels,
              columns, width, to);
      }
}

// How register tiles of at most `pixels` cover `total` lines of `length` pixels: some lines at a time, each in
// `pieces`; with as few tiles as can be.
struct RegisterTileCover {
  RegisterTileCover(std::size_t total, std::size_t length, std::size_t pixels) {
    std::size_t least = static_cast<std::size_t>(-1);
    for (std::size_t i = 1; i <= std::min({kMaxLines, pixels, total}); ++i) {
      const std::size_t longest = pixels / i, cut = (length + longest - 1) / longest;
      const std::size_t tiles = (total + i - 1) / i * cut;
      if (tiles >= least) continue;
      least = tiles;
      lines = i;
      pieces = cut;
    }
  }
  std::size_t lines = 1, pieces = 1;
};

constexpr std::size_t kAheadFloats = 16;  // that a step fetches: a cache line, more than a register tile reads in it
constexpr std::size_t kSeldom = 128;      // steps between two stores, beyond which the hardware foresees none

// Walks over the lines of a stretch.
struct StretchLines {
  StretchLines(const ConvJob& job, const ConvStretch& stretch) {
    for (std::size_t i = 0, n = 3; i < 4; ++i)
      if (i != job.line_axis) {
        size[--n] = stretch.size[i];
        in_strides[n] = job.in_strides[i] * job.c.axes[i].stride;
        y_strides[n] = job.y_strides[i];
      }
  }
  std::size_t count() const { return size[0] * size[1] * size[2]; }
  void next() {
    for (std::size_t i = 3; i-- > 0;) {
      in += in_strides[i];
      y += y_strides[i];
      if (++index[i] < size[i]) return;
      in -= size[i] * in_strides[i];
      y -= size[i] * y_strides[i];
      index[i] = 0;
    }
  }
  std::size_t in = 0, y = 0;  // where the line starts, after the first one
  std::array<std::size_t, 3> index{}, size, in_strides, y_strides;
};

// All register tiles of a stretch and a panel.
void ComputeStretch(const ConvJob& job, const ConvStretch& stretch, ConvRegisterTile t, const float* in, float* y) {
  const std::size_t length = stretch.size[job.line_axis];
  const bool narrow = ConvPanelWidth(t.columns) == hn::Lanes(kTag);
  StretchLines lines(job, stretch);
  const std::size_t count = lines.count();
  const CorrelationAxis& row = job.c.axes[3];
  const RegisterTileCover cover(count, length, job.rows ? MaxRowPixels(row.taps) : kRows);
  const std::size_t steps = (count + cover.lines - 1) / cover.lines;
  t.in_stride = job.c.axes[job.line_axis].stride * job.in_strides[job.line_axis];
  t.out_stride = job.y_strides[job.line_axis];
  t.tap_stride = job.c.channels * hn::Lanes(kTag);
  // The hardware sees by itself that lines are written one after the other, unless only parts of them are, or seldom.
  if (job.c.groups * job.c.columns > t.columns || job.c.depth() > kSeldom) t.pause = job.c.depth() / kRows + 1;
  for (std::size_t step = 0; step < steps; ++step) {
    const std::size_t some = count * (step + 1) / steps - count * step / steps;
    std::array<std::size_t, kMaxLines> in_at{}, y_at{};
    for (std::size_t i = 0; i < some; ++i, lines.next()) {
      in_at[i] = lines.in;
      y_at[i] = lines.y;
    }
    for (std::size_t piece = 0; piece < cover.pieces; ++piece) {
      const std::size_t begin = length * piece / cover.pieces, end = length * (piece + 1) / cover.pieces;
      for (std::size_t i = 0; i < some; ++i) {
        t.in[i] = in + in_at[i] + begin * t.in_stride;
        t.out[i] = y + y_at[i] + begin * t.out_stride;
      }
      if (job.rows) {
        const std::ptrdiff_t first = row.position(stretch.begin[3] + begin);
        t.begin = static_cast<std::size_t>(std::max<std::ptrdiff_t>(0, -first));
        t.end = static_cast<std::size_t>(static_cast<std::ptrdiff_t>(row.in) - first);
        RowRegisterTileFor(some, end - begin, row.taps)(t);
      } else {
        t.ahead = t.in[0] + (end - begin) * t.in_stride;
        RegisterTileFor(some, end - begin, narrow, job.dense)(t);
      }
    }
  }
}

TileShape ConvTileShape(const ConvJob& job) {
  return {job.rows ? "rows" : "runs", job.rows ? MaxRowPixels(job.c.axes[3].taps) : kRows,
          ConvPanelWidth(job.c.columns)};
}

void ComputeBox(const ConvJob& job, std::size_t task, ConvRun* runs, float* band) {
  const Correlation& c = job.c;
  const ConvBox box(job, task);
  if (job.banded) {
    const PackingTimer timer(job.meter);
    fill_band(job, box, band);
  }
  const float* in = job.banded ? band : job.x;
  const bool pointwise = !job.banded && c.depth() == c.channels && c.groups == 1;
  for (std::size_t panel = box.panel; panel < box.panel_end; ++panel) {
    const std::size_t group = panel / job.group_panels, column = panel % job.group_panels * job.panel_width;
    const std::size_t at = group * c.columns + column, columns = std::min(job.panel_width, c.columns - column);
    ConvRegisterTile tile{.runs = runs,
                          .panel = job.weights + panel * job.panel_floats(),
                          .bias = job.bias == nullptr ? nullptr : job.bias + at,
                          .relu = c.relu,
                          .columns = columns,
                          .ahead_stride = pointwise && panel == box.panel ? kAheadFloats : 0};
    ConvStretch s(job, box);
    for (s.restart(1); s.next(1);)
      for (s.restart(2); s.next(2);)
        for (s.restart(3); s.next(3);) {
          tile.run_count = s.write_runs(ConvPanelWidth(columns), runs);
          ComputeStretch(job, s, tile, in + s.in_offset() + group * c.channels, job.y + s.y_offset() + at);
        }
  }
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {

HWY_EXPORT(ConvPanelWidth);
HWY_EXPORT(IsRowCorrelation);
HWY_EXPORT(PackConvPanel);
HWY_EXPORT(ConvTileShape);
HWY_EXPORT(ComputeBox);

namespace {

void correlate(const Device& device, const Correlation& c, const float* x, const float* weight, const float* bias,
               float* y) {
  if (c.outputs() * c.columns == 0) return;
  const auto floats = [&](std::size_t count) { return device.arena.allocate(count * sizeof(float)); };
  const auto data = [](const Block& block) { return reinterpret_cast<float*>(block.data()); };
  ConvJob job(c, TAPESTRY_CALL(device.target, ConvPanelWidth)(c.columns),
              TAPESTRY_CALL(device.target, IsRowCorrelation)(c));
  const bool alone = c.products() < 8 * kGrain;
  const auto run = [&](std::size_t count, const auto& task) {
    if (!alone) return device.pool.run(count, task);
    for (std::size_t i = 0; i < count; ++i) task(i);
  };

  const bool pack = job.packed || reinterpret_cast<std::uintptr_t>(weight) % 64 != 0;
  const Block packed = floats(pack ? job.panels * job.panel_floats() : 0);
  if (pack)
    run(job.panels, [&](std::size_t i) {
      const PackingTimer timer(device.meter);
      TAPESTRY_CALL(device.target, PackConvPanel)(job, i, weight, data(packed) + i * job.panel_floats());
    });
  job.weights = pack ? data(packed) : weight;
  job.x = x;
  job.bias = bias;
  job.y = y;
  job.meter = device.meter;
  if (device.meter != nullptr) device.meter->add(TAPESTRY_CALL(device.target, ConvTileShape)(job), c.products());
  run(job.tasks(), [&](std::size_t task) {
    const Block runs = device.arena.allocate(job.runs() * sizeof(ConvRun)), band = floats(job.band_floats());
    TAPESTRY_CALL(device.target, ComputeBox)(job, task, reinterpret_cast<ConvRun*>(runs.data()), data(band));
  });
}

}  // namespace

namespace fma {

void conv_forward(const Device& device, const ConvDims& d, const float* x, const float* weight, const float* bias,
                  float* y) {
  if (is_depthwise(d)) return depthwise_forward(device, d, x, weight, bias, y);
  correlate(device, forward_correlation(flat(d)), x, weight, bias, y);
}

void conv_backward_data(const Device& device, const ConvDims& dims, const float* weight, const float* dy, float* dx) {
  if (is_depthwise(dims)) return depthwise_backward_data(device, dims, weight, dy, dx);
  const ConvDims d = flat(dims);
  for (std::size_t p0 = 0; p0 < std::min(d.stride[0], d.in[0]); ++p0)
    for (std::size_t p1 = 0; p1 < std::min(d.stride[1], d.in[1]); ++p1)
      for (std::size_t p2 = 0; p2 < std::min(d.stride[2], d.in[2]); ++p2)
        correlate(device, backward_correlation(d, {p0, p1, p2}), dy, weight, nullptr, dx);
}

}  // namespace fma
}  // namespace tapestry::kernels
#endif
