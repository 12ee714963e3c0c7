#include "kernels/tiles/weights_box.h"

#include <algorithm>
#include <cstring>

#include "kernels/tiles/pack.h"

namespace tapestry::kernels::tiles {
namespace {

constexpr std::size_t kSumsBytes = 10 * 1024 * 1024;  // of the gradients of all chunks, at most
constexpr std::size_t kPackedBytes = 1536 * 1024;     // of x and dy of a box that one task packs: of the 2 MiB of an L2
constexpr std::size_t kSharedBytes = 4 * 1024 * 1024;  // and of one that all threads pack, who share it out

// Asks for the floats of a block in the rows of the next step: they lie too far apart for the CPU to foresee.
void prefetch(const float* const* rows, std::size_t first) {
  for (std::size_t k = 0; k < kTileDepth; ++k) {
    __builtin_prefetch(rows[k] + first);
    __builtin_prefetch(rows[k] + first + kBlockColumns / 2);
  }
}

}  // namespace

WeightsJob::WeightsJob(const ConvDims& dims, std::size_t number_of_terms, const float* x_data, const float* dy_data)
    : d(dims),
      c(forward_correlation(d)),
      x(x_data),
      dy(dy_data),
      terms(number_of_terms),
      shared(kTasks * d.weight_size() * sizeof(float) > kSumsBytes),
      boxes(c, (d.in_channels + d.out_channels) * terms * sizeof(Bf16), shared ? kSharedBytes : kPackedBytes,
            shared ? 1 : kTasks),
      grid(c, boxes.box),
      chunks(shared ? 1 : std::min(boxes.count(), kTasks)),
      steps((grid.outputs_end(boxes.box[0]) + kTileDepth - 1) / kTileDepth),
      x_steps((steps * kTileDepth + grid.reach() + kTileDepth) / kTileDepth),
      tiles(c.columns <= kTileColumns ? 1 : 2),
      group_panels((c.columns + kBlockColumns - 1) / kBlockColumns),
      row(x_steps * kTileDepth) {
  if (row % 256 == 0) row += kTileDepth;  // rows must not all fall into few sets of the caches
  plane = (d.in_channels + kBlockRows) * row;
  phase = terms * plane;
}

WeightsBox::WeightsBox(const Device& device, const WeightsJob& job)
    : zeros_(device.arena.allocate(std::max(job.d.in_channels, job.d.out_channels) * sizeof(float))),
      rows_(device.arena.allocate((job.inputs() + job.outputs()) * sizeof(const float*))),
      x_(device.arena.allocate(job.grid.all_phases() * job.phase * sizeof(Bf16))),
      dy_(device.arena.allocate(job.panels() * job.panel_size() * sizeof(Bf16))),
      inputs_(reinterpret_cast<const float**>(rows_.data())),
      outputs_(inputs_ + job.inputs()) {
  std::memset(zeros_.data(), 0, zeros_.bytes());
}

void WeightsBox::list(const WeightsJob& job, std::size_t number) {
  const TileGrid::Sizes begin = job.boxes.begin(number), size = job.boxes.size(job.c, begin);
  std::fill_n(inputs_, job.inputs() + job.outputs(), reinterpret_cast<const float*>(zeros_.data()));
  list_inputs(job, begin, size[0]);
  list_outputs(job, begin, size);
}

void WeightsBox::list_inputs(const WeightsJob& job, const TileGrid::Sizes& begin, std::size_t images) {
  const TileGrid& grid = job.grid;
  const ConvDims& d = job.d;
  for (std::size_t phase = 0; phase < grid.all_phases(); ++phase) {
    const std::array<TileGrid::Inside, 4> in = grid.inside(phase, begin);
    const float** at = inputs_ + phase * job.x_steps * kTileDepth;
    for (std::size_t n = 0; n < images; ++n)
      for (std::size_t i = 0; i < grid.pitch(1); ++i)
        for (std::size_t j = 0; j < grid.pitch(2); ++j, at += grid.pitch(3)) {
          if (!in[1].has(i) || !in[2].has(j)) continue;
          const std::size_t line = ((begin[0] + n) * d.in[0] + in[1].position(i)) * d.in[1] + in[2].position(j);
          for (std::size_t k = in[3].begin; k < in[3].end; ++k)
            at[k] = job.x + (line * d.in[2] + in[3].position(k)) * d.in_channels;
        }
  }
}

void WeightsBox::list_outputs(const WeightsJob& job, const TileGrid::Sizes& begin, const TileGrid::Sizes& size) {
  const TileGrid& grid = job.grid;
  const ConvDims& d = job.d;
  for (std::size_t n = 0; n < size[0]; ++n)
    for (std::size_t i = 0; i < size[1]; ++i)
      for (std::size_t j = 0; j < size[2]; ++j) {
        const std::size_t at = ((n * grid.pitch(1) + i) * grid.pitch(2) + j) * grid.pitch(3);
        const std::size_t line = ((begin[0] + n) * d.out[0] + begin[1] + i) * d.out[1] + begin[2] + j;
        for (std::size_t k = 0; k < size[3]; ++k)
          outputs_[at + k] = job.dy + (line * d.out[2] + begin[3] + k) * d.out_channels;
      }
}

bool WeightsBox::pack_x(Target target, const WeightsJob& job, std::size_t step) const {
  bool finite = true;
  for (std::size_t phase = 0; phase < job.grid.all_phases(); ++phase)
    for (std::size_t channel = 0; channel < job.d.in_channels; channel += kBlockRows) {
      Bf16* to = reinterpret_cast<Bf16*>(x_.data()) + phase * job.phase + channel * job.row + step * kTileDepth;
      const float** rows = inputs_ + (phase * job.x_steps + step) * kTileDepth;
      if (step + 1 < job.x_steps) prefetch(rows + kTileDepth, channel);
      finite =
          split_transposed(target, {.rows = rows, .first = channel}, std::min(kBlockRows, job.d.in_channels - channel),
                           {.to = to, .row = job.row, .plane = job.plane, .terms = job.terms}) &&
          finite;
    }
  return finite;
}

bool WeightsBox::pack_dy(Target target, const WeightsJob& job, std::size_t step) const {
  bool finite = true;
  for (std::size_t panel = 0; panel < job.panels(); ++panel) {
    const std::size_t in_group = panel % job.group_panels * kBlockColumns;
    const std::size_t column = panel / job.group_panels * job.c.columns + in_group;
    Bf16* to =
        reinterpret_cast<Bf16*>(dy_.data()) + panel * job.panel_size() + step * job.terms * job.tiles * kTileSize;
    if (step + 1 < job.steps) prefetch(outputs_ + (step + 1) * kTileDepth, column);
    finite = pack_step(target, {.rows = outputs_ + step * kTileDepth, .first = column},
                       std::min(kBlockColumns, job.c.columns - in_group), job.terms, job.tiles, to) &&
             finite;
  }
  return finite;
}

bool WeightsBox::pack(const Device& device, const WeightsJob& job, std::size_t i, std::size_t parts) const {
  const PackingTimer timer(device.meter);
  bool finite = true;
  for (std::size_t step = job.x_steps * i / parts; step < job.x_steps * (i + 1) / parts; ++step)
    finite = pack_x(device.target, job, step) && finite;
  for (std::size_t step = job.steps * i / parts; step < job.steps * (i + 1) / parts; ++step)
    finite = pack_dy(device.target, job, step) && finite;
  return finite;
}

}  // namespace tapestry::kernels::tiles
