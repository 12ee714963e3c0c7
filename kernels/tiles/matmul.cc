#include <algorithm>
#include <atomic>

#include "kernels/matrix_unit.h"
#include "kernels/tiles/pack.h"

namespace tapestry::kernels::tiles {
namespace {

constexpr std::size_t kRoundSteps = 16;  // that are summed before they are added to C: 512 products, to stay exact
constexpr std::size_t kTaskBlocks = 4;   // of rows, and panels of columns, for a task

// The sizes of a product in tiles: A in rows of bf16, B in panels of 32 columns. What is the same for all matrices of
// the batch is packed once.
struct Plan {
  Plan(const MatmulDims& d, std::size_t number_of_terms)
      : terms(number_of_terms),
        steps((d.k + kTileDepth - 1) / kTileDepth),
        blocks((d.m + kBlockRows - 1) / kBlockRows),
        panels((d.n + kBlockColumns - 1) / kBlockColumns),
        tiles(d.n <= kTileColumns ? 1 : 2),
        row(steps * kTileDepth),
        copies_a(d.stride_a == 0 ? 1 : d.batch),
        copies_b(d.stride_b == 0 ? 1 : d.batch) {
    if (row % 256 == 0) row += kTileDepth;  // rows must not all fall into few sets of the caches
    plane = blocks * kBlockRows * row;
    panel = steps * terms * tiles * kTileSize;
  }
  std::size_t size_a() const { return terms * plane; }
  std::size_t size_b() const { return panels * panel; }

  std::size_t terms, steps, blocks, panels, tiles, row, copies_a, copies_b, plane = 0, panel = 0;
};

// The inputs of a step, `distance` apart, or as many as there are.
struct Rows {
  Rows(const float* first, std::size_t distance, std::size_t rest) : count(std::min(kTileDepth, rest)) {
    for (std::size_t k = 0; k < count; ++k) at[k] = first + k * distance;
  }
  const float* at[kTileDepth];
  std::size_t count;
};

bool pack_a(Target target, const MatmulDims& d, const Plan& plan, std::size_t block, const float* a, Bf16* to) {
  const std::size_t first = block * kBlockRows, rows = std::min(kBlockRows, d.m - first),
                    padded = plan.steps * kTileDepth;
  const SplitTo s{.to = to + first * plan.row, .row = plan.row, .plane = plan.plane, .terms = plan.terms};
  if (!d.transpose_a) return split_rows(target, a + first * d.k, d.k, rows, d.k, padded, s);
  bool finite = true;
  for (std::size_t k = 0; k < d.k; k += kTileDepth) {
    const Rows inputs(a + k * d.m, d.m, d.k - k);
    const SplitTo step{.to = s.to + k, .row = s.row, .plane = s.plane, .terms = s.terms};
    finite = split_transposed(target, {.rows = inputs.at, .first = first, .depth = inputs.count}, rows, step) && finite;
  }
  return finite;
}

bool pack_b(Target target, const MatmulDims& d, const Plan& plan, std::size_t panel, const float* b, Bf16* to) {
  const std::size_t column = panel * kBlockColumns, columns = std::min(kBlockColumns, d.n - column);
  bool finite = true;
  to += panel * plan.panel;
  for (std::size_t step = 0; step < plan.steps; ++step, to += plan.terms * plan.tiles * kTileSize) {
    const std::size_t k = step * kTileDepth, distance = d.transpose_b ? 1 : d.n;
    const Rows inputs(b + k * distance, distance, d.k - k);
    finite = pack_step(target,
                       {.rows = inputs.at,
                        .first = d.transpose_b ? column * d.k : column,
                        .stride = d.transpose_b ? d.k : 1,
                        .depth = inputs.count},
                       columns, plan.terms, plan.tiles, to) &&
             finite;
  }
  return finite;
}

// Some blocks of rows of C by some panels of columns.
struct Part {
  std::size_t block, block_end, panel, panel_end;
};

void multiply(const Device& device, const MatmulDims& d, const Plan& plan, const Part& part, const Bf16* a,
              const Bf16* b, const float* bias, float* c) {
  const TileUse use(*device.unit->executor);
  alignas(64) float sums[kBlockRows * kBlockColumns];
  std::ptrdiff_t steps[kRoundSteps];
  for (std::size_t panel = part.panel; panel < part.panel_end; ++panel)
    for (std::size_t block = part.block; block < part.block_end; ++block) {
      const std::size_t row = block * kBlockRows, column = panel * kBlockColumns;
      const BlockRows rows_of_c(std::min(kBlockRows, d.m - row), d.n);
      BlockStore store{.to = c + row * d.n + column,
                       .at = {rows_of_c.at, rows_of_c.at + kTileRows},
                       .columns = std::min(kBlockColumns, d.n - column),
                       .bias = bias == nullptr ? nullptr : bias + column,
                       .add = d.accumulate};
      for (std::size_t step = 0; step < plan.steps; step += kRoundSteps) {
        const std::size_t count = std::min(kRoundSteps, plan.steps - step);
        for (std::size_t i = 0; i < count; ++i) steps[i] = static_cast<std::ptrdiff_t>((step + i) * kTileDepth);
        const Bf16* rows = a + row * plan.row;
        use({.a = {rows, rows + kTileRows * plan.row},
             .row = plan.row,
             .plane = plan.plane,
             .steps = steps,
             .count = count,
             .b = b + panel * plan.panel + step * plan.terms * plan.tiles * kTileSize,
             .terms = plan.terms,
             .tiles = plan.tiles,
             .c = sums});
        store_block(device.target, sums, store);
        store.add = true;
        store.bias = nullptr;
      }
    }
}

}  // namespace

bool serves(const Device& device, const MatmulDims& d) {
  if (d.k == 0) return false;
  const std::size_t least = device.unit->least_products;
  return least == 0 || (d.m >= kTileRows && d.n >= device.unit->executor->least_columns && d.k >= kTileDepth &&
                        d.m * d.n * d.k >= least);
}

void matmul(const Device& device, const MatmulDims& d, const float* a, const float* b, const float* bias, float* c) {
  if (!serves(device, d)) return fma::matmul(device, d, a, b, bias, c);
  const Plan plan(d, device.unit->terms);
  const Block packed =
      device.arena.allocate((plan.copies_a * plan.size_a() + plan.copies_b * plan.size_b()) * sizeof(Bf16));
  Bf16 *packed_a = reinterpret_cast<Bf16*>(packed.data()), *packed_b = packed_a + plan.copies_a * plan.size_a();
  std::atomic<bool> finite = true;
  const std::size_t parts_a = plan.copies_a * plan.blocks, parts_b = plan.copies_b * plan.panels;
  device.pool.run(parts_a + parts_b, [&](std::size_t i) {
    const PackingTimer timer(device.meter);
    const std::size_t copy = i < parts_a ? i / plan.blocks : (i - parts_a) / plan.panels;
    const bool good = i < parts_a ? pack_a(device.target, d, plan, i % plan.blocks, a + copy * d.stride_a,
                                           packed_a + copy * plan.size_a())
                                  : pack_b(device.target, d, plan, (i - parts_a) % plan.panels, b + copy * d.stride_b,
                                           packed_b + copy * plan.size_b());
    if (!good) finite.store(false, std::memory_order_relaxed);
  });
  if (!finite) return fma::matmul(device, d, a, b, bias, c);
  tell_tiles(device, "blocks", plan.tiles, d.batch * d.m * d.n * d.k);
  const std::size_t down = (plan.blocks + kTaskBlocks - 1) / kTaskBlocks;
  const std::size_t across = (plan.panels + kTaskBlocks - 1) / kTaskBlocks;
  device.pool.run(d.batch * down * across, [&](std::size_t i) {
    const std::size_t batch = i / (down * across), block = i / across % down * kTaskBlocks,
                      panel = i % across * kTaskBlocks;
    multiply(device, d, plan,
             {.block = block,
              .block_end = std::min(plan.blocks, block + kTaskBlocks),
              .panel = panel,
              .panel_end = std::min(plan.panels, panel + kTaskBlocks)},
             packed_a + (plan.copies_a == 1 ? 0 : batch) * plan.size_a(),
             packed_b + (plan.copies_b == 1 ? 0 : batch) * plan.size_b(), bias, c + batch * d.stride_c);
  });
}

}  // namespace tapestry::kernels::tiles
