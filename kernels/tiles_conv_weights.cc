#include <algorithm>
#include <atomic>
#include <span>

#include "kernels/conv_depthwise.h"
#include "kernels/matrix_unit.h"
#include "kernels/reduce.h"
#include "kernels/tiles_grid.h"
#include "kernels/tiles_pack.h"

// For each tap a product x^T dy over the positions of a grid (kernels/tiles_grid.h): x lies in rows of channels, in
// which a tap is a distance; dy in pairs of positions, zeros where there is no output.

namespace tapestry::kernels::tiles {
namespace {

constexpr std::size_t kTasks = 16;                // wanted
constexpr std::size_t kPackedBytes = 768 * 1024;  // of x and dy of a box
constexpr std::size_t kPartChannels = 64;         // of x, which a task takes where there are many
constexpr std::size_t kRoundSteps = 8;  // whose sums are taken together, before they are added to the gradient's

// What all tasks share. A task takes a part of the channels and a chunk of the boxes.
struct Job {
  Job(const ConvDims& dims, std::size_t number_of_terms)
      : d(dims),
        c(forward_correlation(d)),
        terms(number_of_terms),
        parts(d.groups > 1 ? 1 : std::max<std::size_t>(1, d.in_channels / kPartChannels)),
        part_channels((d.in_channels + parts - 1) / parts),
        boxes(c, (part_channels + d.out_channels) * terms * sizeof(Bf16), kPackedBytes, (kTasks + parts - 1) / parts),
        grid(c, boxes.box),
        chunks(std::min(boxes.count(), (kTasks + parts - 1) / parts)),
        steps((grid.outputs_end(boxes.box[0]) + kTileDepth - 1) / kTileDepth),
        tiles(c.columns <= kTileColumns ? 1 : 2),
        group_panels((c.columns + kBlockColumns - 1) / kBlockColumns),
        row((steps * kTileDepth + grid.reach() + kTileDepth) / kTileDepth * kTileDepth) {
    if (row % 256 == 0) row += kTileDepth;  // rows must not all fall into few sets of the caches
    plane = (part_channels + kBlockRows) * row;
    phase = terms * plane;
  }
  std::size_t panels() const { return d.groups * group_panels; }
  std::size_t panel_size() const { return steps * terms * tiles * kTileSize; }

  ConvDims d;
  Correlation c;
  std::size_t terms, parts, part_channels;
  TileBoxes boxes;
  TileGrid grid;
  std::size_t chunks, steps, tiles, group_panels;
  std::size_t row, plane = 0, phase = 0;  // elements of packed x, from channel to channel, term to term, phase to phase
  const float *x = nullptr, *dy = nullptr;
};

struct Channels {
  std::size_t begin, end;
};

// Positions [begin, end) of all channels.
void fill_zeros(const Job& job, std::size_t channels, std::size_t begin, std::size_t end, Bf16* to) {
  for (std::size_t t = 0; t < job.terms; ++t)
    for (std::size_t i = 0; i < channels; ++i)
      std::fill(to + t * job.plane + i * job.row + begin, to + t * job.plane + i * job.row + end, Bf16{0});
}

bool pack_x(Target target, const Job& job, const Channels& channels, const TileGrid::Sizes& begin, std::size_t images,
            Bf16* packed) {
  const TileGrid& grid = job.grid;
  const ConvDims& d = job.d;
  const std::size_t some = channels.end - channels.begin, pitch = grid.pitch(3);
  bool finite = true;
  for (std::size_t phase = 0; phase < grid.all_phases(); ++phase) {
    const std::array<TileGrid::Inside, 4> in = grid.inside(phase, begin);
    Bf16* to = packed + phase * job.phase;
    std::size_t at = 0;
    for (std::size_t n = 0; n < images; ++n)
      for (std::size_t i = 0; i < grid.pitch(1); ++i)
        for (std::size_t j = 0; j < grid.pitch(2); ++j, at += pitch) {
          if (!in[1].has(i) || !in[2].has(j) || in[3].begin == in[3].end) {
            fill_zeros(job, some, at, at + pitch, to);
            continue;
          }
          fill_zeros(job, some, at, at + in[3].begin, to);
          fill_zeros(job, some, at + in[3].end, at + pitch, to);
          const std::size_t line = ((begin[0] + n) * d.in[0] + in[1].position(i)) * d.in[1] + in[2].position(j);
          const float* from = job.x + (line * d.in[2] + in[3].first) * d.in_channels + channels.begin;
          finite =
              split_transposed(target, from, d.stride[2] * d.in_channels, some, in[3].end - in[3].begin,
                               {.to = to + at + in[3].begin, .row = job.row, .plane = job.plane, .terms = job.terms}) &&
              finite;
        }
    fill_zeros(job, some, at, job.row, to);
  }
  return finite;
}

// Where each position of a box finds its dy; nullptr where it is no output.
void list_outputs(const Job& job, const TileGrid::Sizes& begin, const TileGrid::Sizes& size, const float** rows) {
  const TileGrid& grid = job.grid;
  const ConvDims& d = job.d;
  std::fill_n(rows, job.steps * kTileDepth, nullptr);
  for (std::size_t n = 0; n < size[0]; ++n)
    for (std::size_t i = 0; i < size[1]; ++i)
      for (std::size_t j = 0; j < size[2]; ++j) {
        const std::size_t at = ((n * grid.pitch(1) + i) * grid.pitch(2) + j) * grid.pitch(3);
        const std::size_t line = ((begin[0] + n) * d.out[0] + begin[1] + i) * d.out[1] + begin[2] + j;
        for (std::size_t k = 0; k < size[3]; ++k)
          rows[at + k] = job.dy + (line * d.out[2] + begin[3] + k) * d.out_channels;
      }
}

bool pack_dy(Target target, const Job& job, const float* const* outputs, Bf16* to) {
  bool finite = true;
  for (std::size_t panel = 0; panel < job.panels(); ++panel) {
    const std::size_t in_group = panel % job.group_panels * kBlockColumns;
    const std::size_t column = panel / job.group_panels * job.c.columns + in_group;
    for (std::size_t step = 0; step < job.steps; ++step, to += job.terms * job.tiles * kTileSize) {
      StepRows rows{};
      for (std::size_t i = 0; i < kTileDepth; ++i) {
        const float* row = outputs[step * kTileDepth + i];
        rows.rows[i] = row == nullptr ? nullptr : row + column;
      }
      finite = pack_step(target, rows, std::min(kBlockColumns, job.c.columns - in_group), job.terms, job.tiles, to) &&
               finite;
    }
  }
  return finite;
}

// The distance of each tap in packed x.
std::size_t distance_of(const Job& job, std::size_t tap) {
  const TileGrid::Sizes taps{0, tap / job.d.kernel[2] / job.d.kernel[1], tap / job.d.kernel[2] % job.d.kernel[1],
                             tap % job.d.kernel[2]};
  return job.grid.phase_of(taps) * job.phase + job.grid.distance_of(taps);
}

// Adds a box to the sums of the channels, or starts these.
void multiply(const Device& device, const Job& job, const Channels& channels, bool add, const Bf16* x, const Bf16* dy,
              float* sums) {
  const TileUse use(*device.unit->executor);
  alignas(64) float block[kBlockRows * kBlockColumns];
  std::ptrdiff_t steps[kRoundSteps];
  for (std::size_t i = 0; i < kRoundSteps; ++i) steps[i] = static_cast<std::ptrdiff_t>(i * kTileDepth);
  const std::size_t inputs = job.d.groups > 1 ? job.c.channels : channels.end - channels.begin;
  for (std::size_t panel = 0; panel < job.panels(); ++panel) {
    const std::size_t group = panel / job.group_panels, in_group = panel % job.group_panels * kBlockColumns;
    for (std::size_t input = 0; input < inputs; input += kBlockRows)
      for (std::size_t step = 0; step < job.steps; step += kRoundSteps)
        for (std::size_t tap = 0; tap < job.d.taps(); ++tap) {
          const Bf16* from = x + distance_of(job, tap) + (group * job.c.channels + input) * job.row + step * kTileDepth;
          use({.a = {from, from + kTileRows * job.row},
               .row = job.row,
               .plane = job.plane,
               .steps = steps,
               .count = std::min(kRoundSteps, job.steps - step),
               .b = dy + panel * job.panel_size() + step * job.terms * job.tiles * kTileSize,
               .terms = job.terms,
               .tiles = job.tiles,
               .c = block});
          BlockStore store{
              .rows = {}, .columns = std::min(kBlockColumns, job.c.columns - in_group), .add = add || step != 0};
          for (std::size_t m = 0; m < std::min(kBlockRows, inputs - input); ++m)
            store.rows[m] = sums + (tap * job.c.channels + channels.begin + input + m) * job.d.out_channels +
                            group * job.c.columns + in_group;
          store_block(device.target, block, store);
        }
  }
}

// The boxes of a chunk, one after the other; false where something is not finite.
bool run_task(const Device& device, const Job& job, std::size_t chunk, std::size_t part, float* sums) {
  const Channels channels{job.d.in_channels * part / job.parts, job.d.in_channels * (part + 1) / job.parts};
  const Block x = device.arena.allocate(job.grid.all_phases() * job.phase * sizeof(Bf16));
  const Block dy = device.arena.allocate(job.panels() * job.panel_size() * sizeof(Bf16));
  const Block list = device.arena.allocate(job.steps * kTileDepth * sizeof(const float*));
  Bf16 *packed_x = reinterpret_cast<Bf16*>(x.data()), *packed_dy = reinterpret_cast<Bf16*>(dy.data());
  const float** outputs = reinterpret_cast<const float**>(list.data());
  const std::size_t count = job.boxes.count(), first = count * chunk / job.chunks,
                    end = count * (chunk + 1) / job.chunks;
  for (std::size_t box = first; box < end; ++box) {
    const TileGrid::Sizes begin = job.boxes.begin(box), size = job.boxes.size(job.c, begin);
    list_outputs(job, begin, size, outputs);
    {
      const PackingTimer timer(device.meter);
      if (!pack_x(device.target, job, channels, begin, size[0], packed_x) ||
          !pack_dy(device.target, job, outputs, packed_dy))
        return false;
    }
    multiply(device, job, channels, box != first, packed_x, packed_dy, sums);
  }
  return true;
}

// false where something is not finite; then nothing was added.
bool add_weight_gradient(const Device& device, const ConvDims& d, const float* x, const float* dy, float* dweight) {
  Job job(d, device.unit->terms);
  job.x = x;
  job.dy = dy;
  const std::size_t size = d.weight_size();
  const Block block = device.arena.allocate(job.chunks * size * sizeof(float));
  float* sums = reinterpret_cast<float*>(block.data());
  std::atomic<bool> finite = true;
  device.pool.run(job.chunks * job.parts, [&](std::size_t i) {
    const std::size_t chunk = i / job.parts;
    if (finite.load(std::memory_order_relaxed) && !run_task(device, job, chunk, i % job.parts, sums + chunk * size))
      finite.store(false, std::memory_order_relaxed);
  });
  if (!finite) return false;
  tell_tiles(device, "grid weights", job.tiles, job.c.products());
  sum_rows(device, job.chunks, size, std::span<const float>(sums, job.chunks * size), std::span(dweight, size), true);
  return true;
}

// Packing pays where what is packed meets many outputs, and where few positions are zeros.
bool serves(const Device& device, const ConvDims& d) {
  const Correlation c = forward_correlation(d);
  const double share = c.depth() == 0 ? 0 : grid_share(c);
  const std::size_t least = device.unit->least_products;
  if (share < 0.5 || least == 0) return share >= 0.5;
  const TileExecutor& executor = *device.unit->executor;
  const std::size_t phases = TileGrid(c, {1, 1, 1, 1}).all_phases();
  return !is_depthwise(d) && std::min(c.columns, c.channels) >= executor.least_columns &&
         share >= executor.least_share &&
         c.depth() * c.columns >= executor.least_reuse * (phases * c.channels + c.columns) && c.products() >= least;
}

}  // namespace

void conv_backward_weights(const Device& device, const ConvDims& dims, const float* x, const float* dy, float* dweight,
                           float* dbias) {
  const ConvDims d = flat(dims);
  if (dweight == nullptr || !serves(device, d) || !add_weight_gradient(device, d, x, dy, dweight))
    return fma::conv_backward_weights(device, dims, x, dy, dweight, dbias);
  fma::conv_backward_weights(device, dims, x, dy, nullptr, dbias);
}

}  // namespace tapestry::kernels::tiles
