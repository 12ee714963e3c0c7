#include <algorithm>
#include <array>
#include <atomic>
#include <span>

#include "kernels/matrix_unit.h"
#include "kernels/reduce.h"
#include "kernels/tiles/pack.h"
#include "kernels/tiles/weights_box.h"

// For each tap a product x^T dy over the positions of a grid (kernels/tiles/grid.h), box by box.

namespace tapestry::kernels::tiles {
namespace {

constexpr std::size_t kMostSteps = 32;  // of a round
constexpr std::size_t kPartBlocks = 2;  // of channels, and panels of columns, that take turns in a round

// Steps that are summed before they are added to the gradient, of 32 products each: the fewer, the more exact.
std::size_t round_steps(const WeightsJob& job) { return job.terms == 3 ? kMostSteps / 2 : kMostSteps; }

// The distance of each tap in packed x.
std::size_t distance_of(const WeightsJob& job, std::size_t tap) {
  const TileGrid::Sizes taps{0, tap / job.d.kernel[2] / job.d.kernel[1], tap / job.d.kernel[2] % job.d.kernel[1],
                             tap % job.d.kernel[2]};
  return job.grid.phase_of(taps) * job.phase + job.grid.distance_of(taps);
}

// The sums of a block of channels and a panel of columns, from which a round begins, and for which taps.
struct Round {
  std::size_t panel, block, step, tap, tap_end;
};

void multiply_round(const Device& device, const TileUse& use, const WeightsJob& job, const WeightsBox& box,
                    const Round& round, bool add, float* sums) {
  static constexpr std::array<std::ptrdiff_t, kMostSteps> kSteps = [] {
    std::array<std::ptrdiff_t, kMostSteps> steps{};
    for (std::size_t i = 0; i < kMostSteps; ++i) steps[i] = static_cast<std::ptrdiff_t>(i * kTileDepth);
    return steps;
  }();
  alignas(64) float block[kBlockRows * kBlockColumns];
  const std::size_t group = round.panel / job.group_panels, in_group = round.panel % job.group_panels * kBlockColumns;
  const std::size_t input = round.block * kBlockRows, column = group * job.c.columns + in_group;
  const BlockRows rows(std::min(kBlockRows, job.c.channels - input), job.d.out_channels);
  const Bf16* x = box.x() + (group * job.c.channels + input) * job.row + round.step * kTileDepth;
  for (std::size_t tap = round.tap; tap < round.tap_end; ++tap) {
    const Bf16* from = x + distance_of(job, tap);
    use({.a = {from, from + kTileRows * job.row},
         .row = job.row,
         .plane = job.plane,
         .steps = kSteps.data(),
         .count = std::min(round_steps(job), job.steps - round.step),
         .b = box.dy() + round.panel * job.panel_size() + round.step * job.terms * job.tiles * kTileSize,
         .terms = job.terms,
         .tiles = job.tiles,
         .c = block});
    store_block(device.target, block,
                {.to = sums + (tap * job.c.channels + input) * job.d.out_channels + column,
                 .at = {rows.at, rows.at + kTileRows},
                 .columns = std::min(kBlockColumns, job.c.columns - in_group),
                 .add = add});
  }
}

// How the products of a box are cut: panels and blocks, and where all threads share a box with few of both, taps.
struct Parts {
  explicit Parts(const WeightsJob& job)
      : across((job.panels() + kPartBlocks - 1) / kPartBlocks),
        down((job.blocks() + kPartBlocks - 1) / kPartBlocks),
        taps(job.shared ? std::clamp<std::size_t>(WeightsJob::kTasks / (across * down), 1, job.d.taps()) : 1) {}
  std::size_t count() const { return across * down * taps; }

  std::size_t across, down, taps;
};

// Adds a box to some blocks of the sums, or starts these.
void multiply(const Device& device, const WeightsJob& job, const WeightsBox& box, std::size_t part, bool add,
              float* sums) {
  const TileUse use(*device.unit->executor);
  const Parts parts(job);
  const std::size_t panel = part % parts.across * kPartBlocks;
  const std::size_t block = part / parts.across % parts.down * kPartBlocks;
  const std::size_t number = part / parts.across / parts.down, tap = job.d.taps() * number / parts.taps;
  const std::size_t tap_end = job.d.taps() * (number + 1) / parts.taps;
  for (std::size_t step = 0; step < job.steps; step += round_steps(job))
    for (std::size_t i = panel; i < std::min(job.panels(), panel + kPartBlocks); ++i)
      for (std::size_t j = block; j < std::min(job.blocks(), block + kPartBlocks); ++j)
        multiply_round(device, use, job, box, {i, j, step, tap, tap_end}, add || step != 0, sums);
}

// The boxes of a chunk, one after the other; false where something is not finite.
bool run_chunk(const Device& device, const WeightsJob& job, std::size_t chunk, float* sums) {
  WeightsBox box(device, job);
  const std::size_t count = job.boxes.count(), first = count * chunk / job.chunks;
  for (std::size_t i = first; i < count * (chunk + 1) / job.chunks; ++i) {
    box.list(job, i);
    if (!box.pack(device, job, 0, 1)) return false;
    for (std::size_t part = 0; part < Parts(job).count(); ++part) multiply(device, job, box, part, i != first, sums);
  }
  return true;
}

// All boxes, by all threads together.
bool run_shared(const Device& device, const WeightsJob& job, float* sums) {
  WeightsBox box(device, job);
  std::atomic<bool> finite = true;
  for (std::size_t i = 0; i < job.boxes.count(); ++i) {
    box.list(job, i);
    device.pool.run(WeightsJob::kTasks, [&](std::size_t part) {
      if (!box.pack(device, job, part, WeightsJob::kTasks)) finite.store(false, std::memory_order_relaxed);
    });
    if (!finite) return false;
    device.pool.run(Parts(job).count(), [&](std::size_t part) { multiply(device, job, box, part, i != 0, sums); });
  }
  return true;
}

// false where something is not finite; then nothing was added.
bool add_weight_gradient(const Device& device, const ConvDims& d, const float* x, const float* dy, float* dweight) {
  const WeightsJob job(d, device.unit->terms, x, dy);
  const std::size_t size = d.weight_size();
  const Block block = device.arena.allocate(job.chunks * size * sizeof(float));
  float* sums = reinterpret_cast<float*>(block.data());
  std::atomic<bool> finite = true;
  if (job.shared) {
    finite = run_shared(device, job, sums);
  } else {
    device.pool.run(job.chunks, [&](std::size_t chunk) {
      if (finite.load(std::memory_order_relaxed) && !run_chunk(device, job, chunk, sums + chunk * size))
        finite.store(false, std::memory_order_relaxed);
    });
  }
  if (!finite) return false;
  tell_tiles(device, "grid weights", job.tiles, job.c.products());
  sum_rows(device, job.chunks, size, std::span<const float>(sums, job.chunks * size), std::span(dweight, size), true);
  return true;
}

// Multiply-adds of floats leave out the products with padding: what they compute, as a share of what tiles compute.
double share_of_products(const Correlation& c) {
  double share = grid_share(c);
  for (const CorrelationAxis& axis : c.axes)
    share *= static_cast<double>(axis.pairs_inside()) / static_cast<double>(axis.out * axis.taps);
  return share;
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
         share_of_products(c) >= executor.least_share &&
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
