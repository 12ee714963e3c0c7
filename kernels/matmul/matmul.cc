#include "kernels/matmul.h"

#include <algorithm>

#include "kernels/matmul/plan.h"
#include "kernels/matrix_unit.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul/matmul.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/matmul/narrow-inl.h"
#include "kernels/matmul/register_tile-inl.h"
#include "kernels/simd/pack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

constexpr std::size_t kDepth = 512;              // k at a time: a panel of B stays close, and C is visited seldom
constexpr std::size_t kRowBlock = 224;           // rows for which one task packs a panel: 16 register tiles of 14
constexpr std::size_t kDotBlock = 4 * kDotRows;  // rows of a task of dot products
constexpr std::size_t kDotLeast = 16;            // vectors of k from which dot products pay
constexpr std::size_t kShortDepth = 64;          // k up to which several panels are packed at once

// The part of B that is packed after the depth that starts at `from`: below it, or in the panel to the right. That
// panel is one piece where B is transposed; each depth fetches its share.
const float* NextOfB(const MatmulDims& dims, const MatmulPanel& p, const float* from, std::size_t k, std::size_t step,
                     std::size_t width) {
  const bool right = p.column + 2 * width <= dims.n;
  if (dims.transpose_b) return right ? from - k + width * (dims.k + k) : nullptr;
  if (k + step < dims.k) return from + step * dims.n;
  return right ? from - k * dims.n + width : nullptr;
}

void Panel(const MatmulDims& dims, const MatmulPanel& p, const float* a, const float* b, const float* bias, float* c,
           float* packed) {
  const std::size_t lanes = hn::Lanes(kTag);
  const bool narrow = p.columns <= lanes;
  const std::size_t width = narrow ? lanes : kVectors * lanes, rows = p.row_end - p.row;
  const bool passing = !dims.transpose_b && p.columns == width;  // the first register tile packs B in passing
  const std::size_t tiles = (rows + kRows - 1) / kRows;
  const std::size_t rounds = std::max<std::size_t>(1, (dims.k + kDepth - 1) / kDepth);
  const std::size_t step = std::max<std::size_t>(1, (dims.k + rounds - 1) / rounds);
  for (std::size_t k = 0; k < std::max<std::size_t>(dims.k, 1); k += step) {
    const std::size_t depth = std::min(step, dims.k - k);
    const float* from = dims.transpose_b ? b + p.column * dims.k + k : b + k * dims.n + p.column;
    if (!passing) {
      const PackingTimer timer(p.meter);
      PackB(from, dims.transpose_b ? dims.k : dims.n, dims.transpose_b, depth, p.columns, width, packed);
    }
    const float* next = NextOfB(dims, p, from, k, step, width);
    const std::size_t stride_next = dims.transpose_b ? width : dims.n;
    for (std::size_t tile = 0; tile < tiles; ++tile) {
      const std::size_t begin = p.row + rows * tile / tiles, end = p.row + rows * (tile + 1) / tiles;
      RegisterTileArgs t{.a = dims.transpose_a ? a + k * dims.m + begin : a + begin * dims.k + k,
                         .stride_a = dims.transpose_a ? dims.m : dims.k,
                         .b = packed,
                         .stride_b = width,
                         .packed = nullptr,
                         .depth = depth,
                         .bias = k == 0 && bias != nullptr ? bias + p.column : nullptr,
                         .load_c = k != 0 || dims.accumulate,
                         .c = c + begin * dims.n + p.column,
                         .stride_c = dims.n,
                         .columns = p.columns,
                         .ahead = next == nullptr ? nullptr : next + tile * (depth / tiles) * stride_next,
                         .stride_ahead = stride_next,
                         .pause = tiles,
                         .fetch_to_write = dims.transpose_a};
      if (passing && tile == 0) {
        t.b = from;
        t.stride_b = dims.n;
        t.packed = tiles > 1 ? packed : nullptr;
      }
      // Where A is transposed, sums tend to be short (k is the batch) and C is what misses the caches.
      if (dims.transpose_a) {
        t.ahead = t.c;
        t.stride_ahead = dims.n;
        t.pause = std::max<std::size_t>(1, depth / (end - begin));
      }
      RegisterTileFor(end - begin, narrow, dims.transpose_a)(t);
    }
  }
}

// Panels of a short depth, B transposed: all are packed, then each register tile of rows runs along them, so that C is
// written in long runs.
void ShortPanels(const MatmulDims& dims, const MatmulPanel& p, const float* a, const float* b, const float* bias,
                 float* c, float* packed) {
  const std::size_t width = kVectors * hn::Lanes(kTag), rows = p.row_end - p.row, size = dims.k * width;
  const std::size_t tiles = (rows + kRows - 1) / kRows, panels = (p.columns + width - 1) / width;
  for (std::size_t panel = 0; panel < panels; ++panel) {
    const PackingTimer timer(p.meter);
    const std::size_t column = p.column + panel * width;
    PackB(b + column * dims.k, dims.k, true, dims.k, std::min(width, p.column + p.columns - column), width,
          packed + panel * size);
  }
  for (std::size_t tile = 0; tile < tiles; ++tile) {
    const std::size_t begin = p.row + rows * tile / tiles, end = p.row + rows * (tile + 1) / tiles;
    for (std::size_t panel = 0; panel < panels; ++panel) {
      const std::size_t column = p.column + panel * width, columns = std::min(width, p.column + p.columns - column);
      RegisterTileFor(end - begin, columns <= hn::Lanes(kTag),
                      dims.transpose_a)({.a = a + begin * (dims.transpose_a ? 1 : dims.k),
                                         .stride_a = dims.transpose_a ? dims.m : dims.k,
                                         .b = packed + panel * size,
                                         .stride_b = width,
                                         .packed = nullptr,
                                         .depth = dims.k,
                                         .bias = bias == nullptr ? nullptr : bias + column,
                                         .load_c = dims.accumulate,
                                         .c = c + begin * dims.n + column,
                                         .stride_c = dims.n,
                                         .columns = columns,
                                         .ahead = nullptr,
                                         .stride_ahead = 0,
                                         .pause = 0,
                                         .fetch_to_write = false});
    }
  }
}

TileShape MatmulTileShape(const MatmulDims& dims, MatmulForm form) {
  const std::size_t lanes = hn::Lanes(kTag), width = dims.n <= lanes ? lanes : kVectors * lanes;
  switch (form) {
    case MatmulForm::panel:
      return {"panels", kRows, width};
    case MatmulForm::short_panels:
      return {"short panels", kRows, width};
    case MatmulForm::flipped:
      return {"flipped", kVectors * lanes, kRows};
    case MatmulForm::dots:
      return {"dots", kDotRows, dims.n};
  }
  return {};
}

MatmulPlan PlanMatmul(const MatmulDims& dims) {
  const std::size_t lanes = hn::Lanes(kTag), width = kVectors * lanes;
  const bool narrow = dims.n <= lanes && lanes >= 4;
  MatmulPlan plan{.form = MatmulForm::panel, .rows = kRowBlock, .columns = width, .scratch = kDepth * width};
  if (narrow && dims.transpose_a && dims.m >= width) {
    plan = {.form = MatmulForm::flipped, .rows = kRowBlock, .columns = dims.n, .scratch = 0};
  } else if (narrow && !dims.transpose_a && 4 * dims.n <= 3 * lanes && dims.k >= kDotLeast * lanes) {
    plan = {.form = MatmulForm::dots,
            .rows = kDotBlock,
            .columns = dims.n,
            .scratch = kDotBlock * dims.n * lanes,
            .dot_depth = kDotDepth};
  } else if (dims.transpose_b && dims.n > width && dims.k != 0 && dims.k <= kShortDepth) {
    // As many as two of the largest depth, so that the scratch stays as small; 16 at most.
    const std::size_t panels = 2 * kShortDepth / std::max<std::size_t>(dims.k, 8);
    plan = {.form = MatmulForm::short_panels, .rows = kRowBlock, .columns = panels * width, .scratch = 0};
    plan.scratch = plan.columns * dims.k;
  }
  return plan;
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {

HWY_EXPORT(Panel);
HWY_EXPORT(ShortPanels);
HWY_EXPORT(FlippedRows);
HWY_EXPORT(PackDots);
HWY_EXPORT(DotRows);
HWY_EXPORT(PlanMatmul);
HWY_EXPORT(MatmulTileShape);

namespace fma {

// A task is a block of rows by a block of columns of one matrix of the batch: it owns its part of C.
void matmul(const Device& device, const MatmulDims& dims, const float* a, const float* b, const float* bias, float* c) {
  const MatmulPlan plan = TAPESTRY_CALL(device.target, PlanMatmul)(dims);
  if (device.meter != nullptr)
    device.meter->add(TAPESTRY_CALL(device.target, MatmulTileShape)(dims, plan.form),
                      dims.batch * dims.m * dims.n * dims.k);
  const std::size_t across = (dims.n + plan.columns - 1) / plan.columns, down = (dims.m + plan.rows - 1) / plan.rows;
  const auto run = [&](std::size_t tasks, auto task) {
    if (dims.batch * dims.m * dims.n * dims.k >= 8 * kGrain) return device.pool.run(tasks, task);
    for (std::size_t number = 0; number < tasks; ++number) task(number);
  };
  const std::size_t size_b = dims.k * dims.n, copies = dims.stride_b == 0 ? 1 : dims.batch;
  Block dots;
  if (plan.form == MatmulForm::dots) {
    dots = device.arena.allocate(copies * size_b * sizeof(float));
    const std::size_t parts = (dims.k + plan.dot_depth - 1) / plan.dot_depth;
    run(copies * parts, [&](std::size_t number) {
      const PackingTimer timer(device.meter);
      const std::size_t copy = number / parts, begin = number % parts * plan.dot_depth;
      TAPESTRY_CALL(device.target, PackDots)
      (dims, begin, std::min(begin + plan.dot_depth, dims.k), b + copy * dims.stride_b,
       reinterpret_cast<float*>(dots.data()) + copy * size_b);
    });
  }
  run(across * down * dims.batch, [&](std::size_t number) {
    const std::size_t column = number % across * plan.columns, batch = number / across / down;
    const std::size_t row = number / across % down * plan.rows;
    const MatmulPanel p{.row = row,
                        .row_end = std::min(dims.m, row + plan.rows),
                        .column = column,
                        .columns = std::min(plan.columns, dims.n - column),
                        .meter = device.meter};
    const Block block = device.arena.allocate(plan.scratch * sizeof(float));
    float *scratch = reinterpret_cast<float*>(block.data()), *to = c + batch * dims.stride_c;
    const float *left = a + batch * dims.stride_a, *right = b + batch * dims.stride_b;
    switch (plan.form) {
      case MatmulForm::panel:
        return TAPESTRY_CALL(device.target, Panel)(dims, p, left, right, bias, to, scratch);
      case MatmulForm::short_panels:
        return TAPESTRY_CALL(device.target, ShortPanels)(dims, p, left, right, bias, to, scratch);
      case MatmulForm::flipped:
        return TAPESTRY_CALL(device.target, FlippedRows)(dims, p.row, p.row_end, left, right, bias, to);
      case MatmulForm::dots:
        return TAPESTRY_CALL(device.target, DotRows)(
            dims, p.row, p.row_end, left, reinterpret_cast<float*>(dots.data()) + (copies == 1 ? 0 : batch * size_b),
            bias, to, scratch);
    }
  });
}

}  // namespace fma

void matmul(const Device& device, const MatmulDims& dims, std::span<const float> a, std::span<const float> b,
            std::span<const float> bias, std::span<float> c) {
  if (dims.batch * dims.m * dims.n == 0) return;
  device.unit->matmul(device, dims, a.data(), b.data(), bias.empty() ? nullptr : bias.data(), c.data());
}

}  // namespace tapestry::kernels
#endif
