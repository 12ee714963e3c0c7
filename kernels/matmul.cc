#include "kernels/matmul.h"

#include <algorithm>

#include "kernels/matrix_unit.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul.cc"
#include "kernels/highway.h"
//
#include "kernels/matmul_tile-inl.h"
#include "kernels/pack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

constexpr std::size_t kDepth = 512;     // k at a time: a panel of B stays close, and C is visited seldom
constexpr std::size_t kRowBlock = 224;  // rows for which one task packs a panel

// The part of B that is packed after the depth that starts at `from`: below it, or in the panel to the right.
const float* NextOfB(const MatmulDims& dims, const MatmulPanel& p, const float* from, std::size_t k, std::size_t step,
                     std::size_t width) {
  const bool right = p.column + 2 * width <= dims.n;
  if (dims.transpose_b) return dims.k <= step && right ? from + width * dims.k : nullptr;
  if (k + step < dims.k) return from + step * dims.n;
  return right ? from - k * dims.n + width : nullptr;
}

void Panel(const MatmulDims& dims, const MatmulPanel& p, const float* a, const float* b, const float* bias, float* c,
           float* packed) {
  const std::size_t lanes = hn::Lanes(kTag);
  const bool narrow = p.columns <= lanes;
  const std::size_t width = narrow ? lanes : kVectors * lanes, rows = p.row_end - p.row;
  const bool passing = !dims.transpose_b && p.columns == width;  // the first tile packs B in passing
  const std::size_t tiles = (rows + kRows - 1) / kRows;
  const std::size_t rounds = std::max<std::size_t>(1, (dims.k + kDepth - 1) / kDepth);
  const std::size_t step = std::max<std::size_t>(1, (dims.k + rounds - 1) / rounds);
  for (std::size_t k = 0; k < std::max<std::size_t>(dims.k, 1); k += step) {
    const std::size_t depth = std::min(step, dims.k - k);
    const float* from = dims.transpose_b ? b + p.column * dims.k + k : b + k * dims.n + p.column;
    if (!passing) PackB(from, dims.transpose_b ? dims.k : dims.n, dims.transpose_b, depth, p.columns, width, packed);
    const float* next = NextOfB(dims, p, from, k, step, width);
    const std::size_t stride_next = dims.transpose_b ? width : dims.n;
    for (std::size_t tile = 0; tile < tiles; ++tile) {
      const std::size_t begin = p.row + rows * tile / tiles, end = p.row + rows * (tile + 1) / tiles;
      TileArgs t{.a = dims.transpose_a ? a + k * dims.m + begin : a + begin * dims.k + k,
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
                 .pause = tiles};
      if (passing && tile == 0) {
        t.b = from;
        t.stride_b = dims.n;
        t.packed = tiles > 1 ? packed : nullptr;
      }
      if (dims.transpose_a) {
        t.ahead = t.c;
        t.stride_ahead = dims.n;
        t.pause = std::max<std::size_t>(1, depth / (end - begin));
      }
      TileFor(end - begin, narrow, dims.transpose_a)(t);
    }
  }
}

std::size_t PanelWidth() { return kVectors * hn::Lanes(kTag); }
std::size_t PackedFloats() { return kDepth * PanelWidth(); }
std::size_t RowBlock() { return kRowBlock; }

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {

HWY_EXPORT(Panel);
HWY_EXPORT(PanelWidth);
HWY_EXPORT(PackedFloats);
HWY_EXPORT(RowBlock);

namespace fma {

// A task is one panel of columns by one block of rows of one matrix of the batch: it owns its part of C.
void matmul(const Device& device, const MatmulDims& dims, const float* a, const float* b, const float* bias, float* c) {
  const std::size_t width = TAPESTRY_CALL(device.target, PanelWidth)();
  const std::size_t rows = TAPESTRY_CALL(device.target, RowBlock)();
  const std::size_t panels = (dims.n + width - 1) / width, blocks = (dims.m + rows - 1) / rows;
  const auto task = [&](std::size_t number) {
    const std::size_t panel = number % panels, block = number / panels % blocks, batch = number / panels / blocks;
    const Block packed = device.arena.allocate(TAPESTRY_CALL(device.target, PackedFloats)() * sizeof(float));
    TAPESTRY_CALL(device.target, Panel)
    (dims,
     {.row = block * rows,
      .row_end = std::min(dims.m, (block + 1) * rows),
      .column = panel * width,
      .columns = std::min(width, dims.n - panel * width)},
     a + batch * dims.stride_a, b + batch * dims.stride_b, bias, c + batch * dims.stride_c,
     reinterpret_cast<float*>(packed.data()));
  };
  const std::size_t tasks = panels * blocks * dims.batch;
  if (dims.batch * dims.m * dims.n * dims.k < 8 * kGrain)
    for (std::size_t number = 0; number < tasks; ++number) task(number);
  else
    device.pool.run(tasks, task);
}

}  // namespace fma

void matmul(const Device& device, const MatmulDims& dims, std::span<const float> a, std::span<const float> b,
            std::span<const float> bias, std::span<float> c) {
  if (dims.batch * dims.m * dims.n == 0) return;
  device.unit->matmul(device, dims, a.data(), b.data(), bias.empty() ? nullptr : bias.data(), c.data());
}

}  // namespace tapestry::kernels
#endif
