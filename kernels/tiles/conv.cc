#include <algorithm>
#include <atomic>

#include "kernels/matrix_unit.h"
#include "kernels/tiles/grid.h"
#include "kernels/tiles/pack.h"

// A tile of A is 16 neighbours of the grid by 32 inputs: channels of a tap or, where the taps of a row of the kernel
// are neighbours, of these taps together. What the last tile of such a run reads behind it meets zeros of B.

namespace tapestry::kernels::tiles {
namespace {

constexpr std::size_t kBandBytes = 384 * 1024;  // of a packed grid, which stays in L2 beside a panel of B
constexpr std::size_t kTasks = 16;              // wanted

// What the tasks of a correlation share.
struct Job {
  Job(const Correlation& correlation, std::size_t number_of_terms)
      : c(correlation),
        terms(number_of_terms),
        pixel(c.groups * c.channels),
        boxes(c, pixel * terms * sizeof(Bf16), kBandBytes, kTasks),
        grid(c, boxes.box),
        run(grid.taps_lie_together() ? c.axes[3].taps * c.channels : c.channels),
        run_steps((run + kTileDepth - 1) / kTileDepth),
        runs(c.depth() / run),
        tiles(c.columns <= kTileColumns ? 1 : 2),
        group_panels((c.columns + kBlockColumns - 1) / kBlockColumns),
        phase(grid.plane(boxes.box[0], kTileDepth / pixel + 1) * pixel),
        plane(grid.all_phases() * phase) {}

  std::size_t steps() const { return runs * run_steps; }
  std::size_t panels() const { return c.groups * group_panels; }
  std::size_t panel_size() const { return steps() * terms * tiles * kTileSize; }
  // Tiles may start at the last output, and all of their rows are read.
  std::size_t band_size() const { return terms * plane + kTileRows * pixel + kTileDepth; }

  Correlation c;
  std::size_t terms, pixel;
  TileBoxes boxes;
  TileGrid grid;
  std::size_t run, run_steps, runs;  // inputs that lie together, and how many such runs a sum has
  std::size_t tiles, group_panels;
  std::size_t phase, plane;  // elements of a band: of the grid of a phase, of all for a term
};

// Taps of the axes, by the number of a run.
TileGrid::Sizes taps_of(const Job& job, std::size_t run) {
  const std::size_t row = job.grid.taps_lie_together() ? 1 : job.c.axes[3].taps;
  return {0, run / row / job.c.axes[2].taps, run / row % job.c.axes[2].taps, run % row};
}

void list_steps(const Job& job, std::ptrdiff_t* steps) {
  const TileGrid& grid = job.grid;
  for (std::size_t run = 0; run < job.runs; ++run) {
    const TileGrid::Sizes taps = taps_of(job, run);
    const std::size_t phase = grid.phase_of(taps), distance = grid.distance_of(taps);
    for (std::size_t i = 0; i < job.run_steps; ++i)
      *steps++ = static_cast<std::ptrdiff_t>(phase * job.phase + distance * job.pixel + i * kTileDepth);
  }
}

bool pack_panel(Target target, const Job& job, std::size_t panel, const float* weight, Bf16* to) {
  const Correlation& c = job.c;
  const std::size_t group = panel / job.group_panels, column = panel % job.group_panels * kBlockColumns;
  const std::size_t columns = std::min(kBlockColumns, c.columns - column);
  const std::size_t stride = c.groups * (c.transposed ? c.channels : c.columns);
  const std::size_t first = c.transposed ? column * stride + group * c.channels : group * c.columns + column;
  const auto tap = [&](std::size_t axis, std::size_t j) {
    return static_cast<std::size_t>(c.axes[axis].weight_tap +
                                    static_cast<std::ptrdiff_t>(j) * c.axes[axis].weight_step);
  };
  bool finite = true;
  for (std::size_t run = 0; run < job.runs; ++run) {
    const TileGrid::Sizes taps = taps_of(job, run);
    const std::size_t row = (tap(1, taps[1]) * c.axes[2].kernel + tap(2, taps[2])) * c.axes[3].kernel;
    std::size_t last = taps[3], channel = 0;
    for (std::size_t i = 0; i < job.run_steps; ++i, to += job.terms * job.tiles * kTileSize) {
      const float* rows[kTileDepth];
      const std::size_t depth = std::min(kTileDepth, job.run - i * kTileDepth);
      for (std::size_t k = 0; k < depth; ++k) {
        rows[k] = weight + (row + tap(3, last)) * (c.transposed ? c.columns : c.channels) * stride + first +
                  channel * (c.transposed ? 1 : stride);
        if (++channel == c.channels) channel = 0, ++last;
      }
      const StepRows step{.rows = rows, .stride = c.transposed ? stride : 1, .depth = depth};
      finite = pack_step(target, step, columns, job.terms, job.tiles, to) && finite;
    }
  }
  return finite;
}

void fill_zeros(const Job& job, std::size_t begin, std::size_t end, Bf16* band) {
  for (std::size_t t = 0; t < job.terms; ++t)
    std::fill(band + t * job.plane + begin, band + t * job.plane + end, Bf16{0});
}

// A line of the grid: zeros, what of x lies inside, zeros.
bool pack_line(Target target, const Job& job, const TileGrid::Inside& in, bool outside, const float* x, std::size_t to,
               Bf16* band) {
  const std::size_t pixel = job.pixel, end = job.grid.pitch(3);
  if (outside || in.begin == in.end) {
    fill_zeros(job, to, to + end * pixel, band);
    return true;
  }
  fill_zeros(job, to, to + in.begin * pixel, band);
  fill_zeros(job, to + in.end * pixel, to + end * pixel, band);
  const SplitTo s{.to = band + to + in.begin * pixel, .row = pixel, .plane = job.plane, .terms = job.terms};
  const std::size_t some = in.end - in.begin;
  if (in.stride == 1) return split_rows(target, x + in.first * pixel, 0, 1, some * pixel, some * pixel, s);
  return split_rows(target, x + in.first * pixel, in.stride * pixel, some, pixel, pixel, s);
}

bool pack_band(Target target, const Job& job, const TileGrid::Sizes& begin, std::size_t images, const float* x,
               Bf16* band) {
  const TileGrid& grid = job.grid;
  const auto& axes = job.c.axes;
  bool finite = true;
  for (std::size_t phase = 0; phase < grid.all_phases(); ++phase) {
    const std::array<TileGrid::Inside, 4> in = grid.inside(phase, begin);
    std::size_t to = phase * job.phase;
    for (std::size_t n = 0; n < images; ++n)
      for (std::size_t i = 0; i < grid.pitch(1); ++i)
        for (std::size_t j = 0; j < grid.pitch(2); ++j, to += grid.pitch(3) * job.pixel) {
          const bool outside = !in[1].has(i) || !in[2].has(j);
          const std::size_t image = begin[0] + n;
          const float* line = outside
                                  ? nullptr
                                  : x + ((image * axes[1].in + in[1].position(i)) * axes[2].in + in[2].position(j)) *
                                            axes[3].in * job.pixel;
          finite = pack_line(target, job, in[3], outside, line, to, band) && finite;
        }
    fill_zeros(job, to, std::max(to, (phase + 1) * job.phase), band);
  }
  return finite;
}

struct Operands {
  const float *x, *bias;
  const Bf16* panels;
  const std::ptrdiff_t* steps;
  float* y;
};

// All panels of some tiles, two by two.
void multiply(const Device& device, const Job& job, const Operands& in, const Bf16* band, const GridTile* tiles,
              std::size_t count) {
  const Correlation& c = job.c;
  const TileUse use(*device.unit->executor);
  alignas(64) float sums[kBlockRows * kBlockColumns];
  for (std::size_t panel = 0; panel < job.panels(); ++panel) {
    const std::size_t group = panel / job.group_panels, column = panel % job.group_panels * kBlockColumns;
    const std::size_t at = group * c.columns + column;
    const Bf16* from = band + group * c.channels;
    for (std::size_t tile = 0; tile < count; tile += 2) {
      const GridTile &one = tiles[tile], &two = tiles[std::min(tile + 1, count - 1)];
      use({.a = {from + one.at * job.pixel, from + two.at * job.pixel},
           .row = job.pixel,
           .plane = job.plane,
           .steps = in.steps,
           .count = job.steps(),
           .b = in.panels + panel * job.panel_size(),
           .terms = job.terms,
           .tiles = job.tiles,
           .c = sums});
      store_block(device.target, sums,
                  {.to = in.y + at,
                   .at = {one.to.data(), &two == &one ? nullptr : two.to.data()},
                   .columns = std::min(kBlockColumns, c.columns - column),
                   .bias = in.bias == nullptr ? nullptr : in.bias + at,
                   .relu = c.relu});
    }
  }
}

// false where something was not finite; then y is to be computed again.
bool correlate(const Device& device, const Correlation& c, const float* x, const float* weight, const float* bias,
               float* y) {
  if (c.outputs() * c.columns == 0) return true;
  const Job job(c, device.unit->terms);
  const Block panels = device.arena.allocate(job.panels() * job.panel_size() * sizeof(Bf16));
  const Block steps = device.arena.allocate(job.steps() * sizeof(std::ptrdiff_t));
  const Operands in{.x = x,
                    .bias = bias,
                    .panels = reinterpret_cast<Bf16*>(panels.data()),
                    .steps = reinterpret_cast<std::ptrdiff_t*>(steps.data()),
                    .y = y};
  list_steps(job, reinterpret_cast<std::ptrdiff_t*>(steps.data()));
  std::atomic<bool> finite = true;
  device.pool.run(job.panels(), [&](std::size_t i) {
    const PackingTimer timer(device.meter);
    Bf16* to = reinterpret_cast<Bf16*>(panels.data()) + i * job.panel_size();
    if (!pack_panel(device.target, job, i, weight, to)) finite.store(false, std::memory_order_relaxed);
  });
  if (!finite) return false;
  device.pool.run(job.boxes.count(), [&](std::size_t i) {
    if (!finite.load(std::memory_order_relaxed)) return;
    const TileGrid::Sizes begin = job.boxes.begin(i), size = job.boxes.size(job.c, begin);
    const Block band = device.arena.allocate(job.band_size() * sizeof(Bf16));
    const Block tiles = device.arena.allocate(most_tiles(job.grid, size) * sizeof(GridTile));
    Bf16* pixels = reinterpret_cast<Bf16*>(band.data());
    GridTile* list = reinterpret_cast<GridTile*>(tiles.data());
    {
      const PackingTimer timer(device.meter);
      if (!pack_band(device.target, job, begin, size[0], x, pixels))
        return finite.store(false, std::memory_order_relaxed);
    }
    multiply(device, job, in, pixels, list, list_tiles(job.c, job.grid, begin, size, list));
  });
  if (finite) tell_tiles(device, "grid", job.tiles, c.products());
  return finite;
}

// Whether tiles serve a correlation: enough columns and inputs that lie together to fill them, and few positions of
// the grid that are no outputs.
bool serves(const Device& device, const ConvDims& d, const Correlation& c) {
  if (c.depth() == 0 || grid_share(c) < 0.5) return false;
  const std::size_t least = device.unit->least_products, products = c.products();
  const std::size_t run = c.groups == 1 ? c.axes[3].taps * c.channels : c.channels;
  return least == 0 || (!is_depthwise(d) && c.columns >= device.unit->executor->least_columns && run >= kTileDepth &&
                        products >= least);
}

}  // namespace

void conv_forward(const Device& device, const ConvDims& d, const float* x, const float* weight, const float* bias,
                  float* y) {
  const Correlation c = forward_correlation(flat(d));
  if (!serves(device, d, c) || !correlate(device, c, x, weight, bias, y))
    fma::conv_forward(device, d, x, weight, bias, y);
}

void conv_backward_data(const Device& device, const ConvDims& dims, const float* weight, const float* dy, float* dx) {
  const ConvDims d = flat(dims);
  const auto for_all = [&](const auto& body) {
    for (std::size_t p0 = 0; p0 < std::min(d.stride[0], d.in[0]); ++p0)
      for (std::size_t p1 = 0; p1 < std::min(d.stride[1], d.in[1]); ++p1)
        for (std::size_t p2 = 0; p2 < std::min(d.stride[2], d.in[2]); ++p2)
          if (!body(backward_correlation(d, {p0, p1, p2}))) return false;
    return true;
  };
  if (!for_all([&](const Correlation& c) { return serves(device, d, c); }) ||
      !for_all([&](const Correlation& c) { return correlate(device, c, dy, weight, nullptr, dx); }))
    fma::conv_backward_data(device, dims, weight, dy, dx);
}

}  // namespace tapestry::kernels::tiles
