#include <algorithm>
#include <span>

#include "kernels/conv/depthwise.h"
#include "kernels/conv/weights_plan.h"
#include "kernels/matrix_unit.h"
#include "kernels/reduce.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv/weights.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/conv/runs-inl.h"
#include "kernels/conv/weights_register_tile-inl.h"
#include "kernels/conv/weights_row-inl.h"

// The gradient is a product x^T dy for each tap, whose register tiles read both matrices where they are. What a tap
// would find in the padding is left out of its runs of pixels; with few channels, where a tile spans taps, x is copied
// with its padding first; with few outputs, a tile spans the taps of a row of the kernel. Sums are made of those over
// blocks of pixels (256 at most), and these of chunks that are merged in order, so that the error of a long sum stays
// near that of a short one.

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

WeightsPlan PlanWeights(const ConvDims& d) {
  return WeightsPlan(d, hn::Lanes(kTag), kVectors * hn::Lanes(kTag), kRowTaps);
}

TileShape WeightsTileShape(const ConvDims& d, const WeightsPlan& plan) {
  const std::size_t lanes = hn::Lanes(kTag);
  if (plan.by_rows) return {"rows of weights", d.kernel[2] * MostChannels(d.kernel[2]), lanes};
  const bool narrow = plan.outputs <= lanes;
  return {"weights", MaxWeightRows(narrow), narrow ? lanes : kVectors * lanes};
}

HWY_INLINE std::size_t WeightRegisterTileCount(std::size_t rows, bool narrow) {
  const std::size_t most = MaxWeightRows(narrow);
  return (rows + most - 1) / most;
}

// From now on dy is what was packed.
HWY_INLINE void ReadPacked(WeightRegisterTileArgs& t) {
  t.dy = t.packed;
  t.stride_dy = (t.columns <= hn::Lanes(kTag) ? 1 : kVectors) * hn::Lanes(kTag);
  t.packed = nullptr;
}

// Whether the runs join every pixel of a block.
HWY_INLINE bool JoinAll(const PixelRun* runs, std::size_t count, std::size_t pixels) {
  for (std::size_t i = 0; i < count; ++i) pixels -= runs[i].count;
  return pixels == 0;
}

// All register tiles of one tap (of all taps, where the plan gathers) and one panel, over the pixels of one block.
HWY_INLINE void ComputeTap(std::size_t rows, bool narrow, WeightRows kind, WeightRegisterTileArgs t,
                           FetchAhead& ahead) {
  const std::size_t tiles = WeightRegisterTileCount(rows, narrow);
  float* dweight = t.dweight;
  const std::ptrdiff_t* offsets = t.offsets;
  for (std::size_t tile = 0; tile < tiles; ++tile) {
    const std::size_t begin = rows * tile / tiles, end = rows * (tile + 1) / tiles;
    t.dweight = dweight + begin * t.stride_out;
    if (offsets != nullptr)
      t.offsets = offsets + begin;
    else
      t.first_row = begin;
    t.ahead = ahead.next();
    WeightRegisterTileFor(end - begin, narrow, kind)(t);
    if (t.packed != nullptr) ReadPacked(t);
  }
}

void WeightsOfTask(const WeightsInputs& in, const WeightsTask& task, bool add, float* dweight, float* packed) {
  const ConvDims& d = in.d;
  const std::size_t lanes = hn::Lanes(kTag), inputs = d.in_channels / d.groups, outputs = in.plan.outputs;
  const std::size_t rows = in.offsets == nullptr ? inputs : in.plan.rows;
  const std::size_t visits =
      (task.panel_end - task.panel) * (task.tap_end - task.tap) * WeightRegisterTileCount(rows, outputs <= lanes);
  const WeightRows kind = in.plan.gather ? WeightRows::offsets : WeightRows::neighbours;
  // The tap in the middle comes first: where it joins all pixels, its first tile packs dy in passing.
  const std::size_t first = task.tap <= d.taps() / 2 ? d.taps() / 2 - task.tap : 0;
  PixelRun runs[WeightsPlan::kBlock];
  for (std::size_t begin = task.pixel; begin < task.pixel_end; begin += in.plan.block) {
    const std::size_t end = std::min(begin + in.plan.block, task.pixel_end);
    FetchAhead ahead = FetchAfter(in, task, end, visits);
    for (std::size_t panel = task.panel; panel < task.panel_end; ++panel) {
      const std::size_t group = panel / in.plan.panels_of_group;
      const std::size_t in_group = panel % in.plan.panels_of_group * in.plan.width;
      const std::size_t column = group * outputs + in_group, columns = std::min(in.plan.width, outputs - in_group);
      const bool narrow = columns <= lanes;
      const std::size_t width = narrow ? lanes : kVectors * lanes;
      WeightRegisterTileArgs t{.runs = runs,
                               .run_count = 0,
                               .first_row = 0,
                               .offsets = in.offsets,
                               .stride_x = d.stride[2] * d.in_channels,
                               .dy = in.dy + begin * d.out_channels + column,
                               .stride_dy = d.out_channels,
                               .packed = nullptr,
                               .add = add || begin != task.pixel,
                               .dweight = dweight + column,
                               .stride_out = d.out_channels,
                               .columns = columns,
                               .ahead = {}};
      if (task.dbias != nullptr) AddPixels(t.dy, d.out_channels, end - begin, columns, task.dbias + column);
      if (columns != width || (d.out_channels != width && in.plan.rows > 5 * MaxWeightRows(narrow))) t.packed = packed;
      const float* x = in.x + group * inputs;
      for (std::size_t i = 0, taps = task.tap_end - task.tap; i < taps; ++i) {
        const std::size_t tap = task.tap + (i + first) % taps;
        const ConvDims::Axes at{tap / d.kernel[2] / d.kernel[1], tap / d.kernel[2] % d.kernel[1], tap % d.kernel[2]};
        t.run_count = FindRuns(d, x, at, begin, end, runs);
        t.dweight = dweight + tap * inputs * d.out_channels + column;
        if (t.packed != nullptr && (columns != width || !JoinAll(runs, t.run_count, end - begin))) {
          const PackingTimer timer(in.meter);
          PackB(t.dy, d.out_channels, false, end - begin, columns, width, packed);
          ReadPacked(t);
        }
        ComputeTap(rows, narrow, kind, t, ahead);
        if (t.packed != nullptr) ReadPacked(t);
      }
    }
  }
}

// to[i] += from[i] + from[size + i] + ..., `chunks` terms, for i in [begin, end).
void MergeChunks(const float* from, std::size_t size, std::size_t chunks, std::size_t begin, std::size_t end,
                 float* to) {
  for_lanes(kTag, end - begin, [&](std::size_t i, auto lanes) HWY_ATTR {
    V sum = load(kTag, from + begin + i, lanes);
    for (std::size_t c = 1; c < chunks; ++c) sum = hn::Add(sum, load(kTag, from + c * size + begin + i, lanes));
    store(hn::Add(load(kTag, to + begin + i, lanes), sum), kTag, to + begin + i, lanes);
  });
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {

HWY_EXPORT(PadRows);
HWY_EXPORT(PlanWeights);
HWY_EXPORT(WeightsTileShape);
HWY_EXPORT(WeightsOfTask);
HWY_EXPORT(RowWeightsOfTask);
HWY_EXPORT(MergeChunks);

namespace {

// The same convolution without padding, of an x that has zeros where the padding was and ends with the last tap.
ConvDims without_padding(ConvDims d) {
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const std::size_t reach = (d.out[axis] - 1) * d.stride[axis] + (d.kernel[axis] - 1) * d.dilation[axis] + 1;
    if (d.pad[axis] != 0 || reach > d.in[axis]) d.in[axis] = reach;
    d.pad[axis] = 0;
  }
  return d;
}

// Where the rows of the gradient (taps by channels of a group) find their x, from the x of the first tap.
void fill_offsets(const ConvDims& d, std::ptrdiff_t* offsets) {
  for (std::size_t tap = 0; tap < d.taps(); ++tap) {
    const std::size_t t0 = tap / d.kernel[2] / d.kernel[1], t1 = tap / d.kernel[2] % d.kernel[1];
    const std::size_t q1 = (t0 * d.dilation[0] * d.in[1]) + t1 * d.dilation[1];
    const std::size_t pixel = q1 * d.in[2] + tap % d.kernel[2] * d.dilation[2];
    for (std::size_t c = 0; c < d.in_channels / d.groups; ++c)
      *offsets++ = static_cast<std::ptrdiff_t>(pixel * d.in_channels + c);
  }
}

// Where tasks add up dy: sums in double for each chunk, which are merged in order.
class BiasSums {
 public:
  BiasSums(const Device& device, const ConvDims& d, std::size_t chunks, float* dbias)
      : dbias_(dbias),
        columns_(d.out_channels),
        block_(device.arena.allocate(dbias == nullptr ? 0 : chunks * columns_ * sizeof(double))),
        sums_(reinterpret_cast<double*>(block_.data()), dbias == nullptr ? 0 : chunks * columns_) {
    std::ranges::fill(sums_, 0.0);
  }
  double* of_chunk(std::size_t chunk) const { return dbias_ == nullptr ? nullptr : &sums_[chunk * columns_]; }
  void merge() const {
    for (std::size_t column = 0; column < columns_ && dbias_ != nullptr; ++column) {
      double sum = dbias_[column];
      for (std::size_t at = column; at < sums_.size(); at += columns_) sum += sums_[at];
      dbias_[column] = static_cast<float>(sum);
    }
  }

 private:
  float* dbias_;
  std::size_t columns_;
  Block block_;
  std::span<double> sums_;
};

void run_tasks(const Device& device, const WeightsInputs& in, float* dweight, float* dbias) {
  const ConvDims& d = in.d;
  const WeightsPlan& plan = in.plan;
  const std::size_t size = d.weight_size(), blocks = (plan.pixels + plan.block - 1) / plan.block;
  const bool merge = plan.chunks > 1;
  const Block partial = device.arena.allocate(merge ? plan.chunks * size * sizeof(float) : 0);
  float* sums = merge ? reinterpret_cast<float*>(partial.data()) : dweight;
  const BiasSums bias(device, d, plan.chunks, dbias);
  const auto of_task =
      plan.by_rows ? TAPESTRY_CALL(device.target, RowWeightsOfTask) : TAPESTRY_CALL(device.target, WeightsOfTask);
  const auto task = [&](std::size_t number) {
    const std::size_t panel = number % plan.panel_parts, tap = number / plan.panel_parts % plan.tap_parts;
    const std::size_t chunk = number / plan.panel_parts / plan.tap_parts;
    const Block scratch = device.arena.allocate(plan.block * plan.width * sizeof(float));
    of_task(in,
            {.panel = plan.panels * panel / plan.panel_parts,
             .panel_end = plan.panels * (panel + 1) / plan.panel_parts,
             .tap = plan.taps * tap / plan.tap_parts,
             .tap_end = plan.taps * (tap + 1) / plan.tap_parts,
             .pixel = blocks * chunk / plan.chunks * plan.block,
             .pixel_end = std::min(plan.pixels, blocks * (chunk + 1) / plan.chunks * plan.block),
             .dbias = tap == 0 ? bias.of_chunk(chunk) : nullptr},
            !merge, sums + (merge ? chunk * size : 0), reinterpret_cast<float*>(scratch.data()));
  };
  if (plan.pixels * size < 8 * kGrain)
    for (std::size_t number = 0; number < plan.tasks(); ++number) task(number);
  else
    device.pool.run(plan.tasks(), task);
  bias.merge();
  if (!merge) return;
  parallel_for(device.pool, size, kGrain / plan.chunks, [&](std::size_t begin, std::size_t end) {
    TAPESTRY_CALL(device.target, MergeChunks)(sums, size, plan.chunks, begin, end, dweight);
  });
}

void add_gradients(const Device& device, const ConvDims& d, const float* x, const float* dy, float* dweight,
                   float* dbias) {
  const WeightsPlan plan = TAPESTRY_CALL(device.target, PlanWeights)(d);
  if (device.meter != nullptr)
    device.meter->add(TAPESTRY_CALL(device.target, WeightsTileShape)(d, plan), plan.pixels * d.weight_size());
  if (!plan.gather) return run_tasks(device, {d, plan, x, dy, nullptr, device.meter}, dweight, dbias);
  const ConvDims padded = without_padding(d);
  const Block table = device.arena.allocate(plan.rows * sizeof(std::ptrdiff_t));
  std::ptrdiff_t* offsets = reinterpret_cast<std::ptrdiff_t*>(table.data());
  fill_offsets(padded, offsets);
  if (padded.in == d.in && padded.pad == d.pad)
    return run_tasks(device, {padded, plan, x, dy, offsets, device.meter}, dweight, dbias);
  const Block copy = device.arena.allocate(padded.x_size() * sizeof(float));
  float* to = reinterpret_cast<float*>(copy.data());
  const std::size_t line = padded.in[2] * d.in_channels, rows = padded.batch * padded.in[0] * padded.in[1];
  parallel_for(device.pool, rows, kGrain / line + 1, [&](std::size_t begin, std::size_t end) {
    const PackingTimer timer(device.meter);
    TAPESTRY_CALL(device.target, PadRows)
    (d, padded, x, begin, end, to + begin * line);
  });
  run_tasks(device, {padded, plan, to, dy, offsets, device.meter}, dweight, dbias);
}

}  // namespace

namespace fma {

void conv_backward_weights(const Device& device, const ConvDims& d, const float* x, const float* dy, float* dweight,
                           float* dbias) {
  if (dweight != nullptr && !is_depthwise(d)) return add_gradients(device, d, x, dy, dweight, dbias);
  const std::size_t pixels = d.y_size() / d.out_channels;
  if (dbias != nullptr)
    sum_rows(device, pixels, d.out_channels, std::span(dy, d.y_size()), std::span(dbias, d.out_channels), true);
  if (dweight != nullptr) depthwise_backward_weights(device, d, x, dy, dweight);
}

}  // namespace fma
}  // namespace tapestry::kernels
#endif
