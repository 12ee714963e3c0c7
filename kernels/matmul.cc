#include "kernels/matmul.h"

#include <algorithm>
#include <array>
#include <utility>

#include "kernels/matrix_unit.h"

#include <hwy/cache_control.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul.cc"
#include "kernels/highway.h"
//
#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

// Accumulators of a tile: rows x 2 vectors, as many as the registers hold beside two vectors of B and one of A
// (Goto & van de Geijn 2008; row counts measured).
#if HWY_TARGET == HWY_AVX3
constexpr std::size_t kRows = 14;
#elif HWY_TARGET == HWY_AVX2
constexpr std::size_t kRows = 6;
#else
constexpr std::size_t kRows = 4;
#endif
constexpr std::size_t kVectors = 2;
constexpr std::size_t kDepth = 512;       // k at a time: a panel of B stays close, and C is visited seldom
constexpr std::size_t kRowBlock = 224;    // rows for which one task packs a panel
constexpr std::size_t kUnpackedRows = 8;  // up to here B is read where it lies: packing would cost more than it gains

constexpr std::size_t kAhead = 16;  // rows of B that are fetched before they are packed

const hn::ScalableTag<float> kTag;
using V = hn::Vec<decltype(kTag)>;

HWY_INLINE V LoadSome(const float* from, std::size_t count) {
  return count >= hn::Lanes(kTag) ? load(kTag, from, AllLanes{}) : load(kTag, from, FirstLanes{count});
}
HWY_INLINE void StoreSome(V v, float* to, std::size_t count) {
  if (count >= hn::Lanes(kTag)) return store(v, kTag, to, AllLanes{});
  store(v, kTag, to, FirstLanes{count});
}

// One tile of C: MR rows, `columns` columns (at most NR vectors).
struct TileArgs {
  const float* a;
  std::size_t stride_a;  // from row to row, or from k to k when A is transposed
  const float* b;
  std::size_t stride_b;
  std::size_t depth;
  const float* bias;  // nullptr: none
  bool load_c;
  float* c;
  std::size_t stride_c, columns;
};

// The rows of A that a tile reads at each k. Rows are addressed from every third one: more strides than that do not fit
// the registers, and what the compiler then does costs a port that the products need.
template <std::size_t MR, bool kTransposeA>
struct RowsOfA {
  HWY_INLINE RowsOfA(const float* a, std::size_t stride) : stride(stride) {
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kPointers; ++i) rows[i] = a + (kTransposeA ? 0 : 3 * i * stride);
  }
  HWY_INLINE V operator[](std::size_t m) const {
    return hn::Set(kTag, kTransposeA ? rows[0][m] : rows[m / 3][m % 3 * stride]);
  }
  HWY_INLINE void next() {
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kPointers; ++i) rows[i] += kTransposeA ? stride : 1;
  }

  static constexpr std::size_t kPointers = kTransposeA ? 1 : (MR + 2) / 3;
  const float* rows[kPointers];
  std::size_t stride;
};

template <std::size_t MR, std::size_t NR, bool kTransposeA>
void Tile(const TileArgs& t) {
  const std::size_t lanes = hn::Lanes(kTag);
  const bool whole = t.columns == NR * lanes;
  V acc[MR][NR];
  for (std::size_t n = 0; n < NR; ++n) {
    const std::size_t left = whole ? lanes : t.columns - n * lanes;
    const V bias = t.bias == nullptr ? hn::Zero(kTag) : LoadSome(t.bias + n * lanes, left);
#pragma GCC unroll 16
    for (std::size_t m = 0; m < MR; ++m)
      acc[m][n] = t.load_c ? hn::Add(bias, LoadSome(t.c + m * t.stride_c + n * lanes, left)) : bias;
  }
  RowsOfA<MR, kTransposeA> a(t.a, t.stride_a);
  const float* b = t.b;
  for (std::size_t k = 0; k < t.depth; ++k, a.next(), b += t.stride_b) {
    V vb[NR];
#pragma GCC unroll 2
    for (std::size_t n = 0; n < NR; ++n) vb[n] = hn::LoadU(kTag, b + n * lanes);
#pragma GCC unroll 16
    for (std::size_t m = 0; m < MR; ++m) {
      const V va = a[m];
#pragma GCC unroll 2
      for (std::size_t n = 0; n < NR; ++n) acc[m][n] = hn::MulAdd(va, vb[n], acc[m][n]);
    }
  }
#pragma GCC unroll 16
  for (std::size_t m = 0; m < MR; ++m)
#pragma GCC unroll 2
    for (std::size_t n = 0; n < NR; ++n) {
      float* to = t.c + m * t.stride_c + n * lanes;
      if (whole)
        hn::StoreU(acc[m][n], kTag, to);
      else
        StoreSome(acc[m][n], to, t.columns - n * lanes);
    }
}

using TileFunction = void (*)(const TileArgs&);

template <std::size_t NR, bool kTransposeA, std::size_t... R>
constexpr std::array<TileFunction, kRows> Tiles(std::index_sequence<R...>) {
  return {Tile<R + 1, NR, kTransposeA>...};
}

TileFunction TileFor(std::size_t rows, bool narrow, bool transpose_a) {
  using Rows = std::make_index_sequence<kRows>;
  static constexpr std::array<TileFunction, kRows> table[2][2] = {{Tiles<2, false>(Rows{}), Tiles<2, true>(Rows{})},
                                                                  {Tiles<1, false>(Rows{}), Tiles<1, true>(Rows{})}};
  return table[narrow][transpose_a][rows - 1];
}

// 4 rows of 4 elements at `from` become 4 columns at `to`.
HWY_INLINE void Transpose4(const float* from, std::size_t stride, float* to, std::size_t stride_to) {
#if HWY_TARGET == HWY_SCALAR
  for (std::size_t i = 0; i < 4; ++i)
    for (std::size_t j = 0; j < 4; ++j) to[j * stride_to + i] = from[i * stride + j];
#else
  const hn::FixedTag<float, 4> d;
  const auto r0 = hn::LoadU(d, from), r1 = hn::LoadU(d, from + stride), r2 = hn::LoadU(d, from + 2 * stride),
             r3 = hn::LoadU(d, from + 3 * stride);
  const auto even_low = hn::InterleaveLower(d, r0, r2), even_high = hn::InterleaveUpper(d, r0, r2);
  const auto odd_low = hn::InterleaveLower(d, r1, r3), odd_high = hn::InterleaveUpper(d, r1, r3);
  hn::StoreU(hn::InterleaveLower(d, even_low, odd_low), d, to);
  hn::StoreU(hn::InterleaveUpper(d, even_low, odd_low), d, to + stride_to);
  hn::StoreU(hn::InterleaveLower(d, even_high, odd_high), d, to + 2 * stride_to);
  hn::StoreU(hn::InterleaveUpper(d, even_high, odd_high), d, to + 3 * stride_to);
#endif
}

// Copies `depth` x `columns` of op(B) to rows of `width`, the rest of each row zero.
void PackB(const float* b, std::size_t stride, bool transposed, std::size_t depth, std::size_t columns,
           std::size_t width, float* to) {
  if (columns < width) std::fill(to, to + depth * width, 0.0f);
  if (!transposed) {
    for (std::size_t k = 0; k < depth; ++k) {
      if (k + kAhead < depth)
        for (std::size_t i = 0; i < columns; i += 16) hwy::Prefetch(b + (k + kAhead) * stride + i);
      for_lanes(kTag, columns, [&](std::size_t i, auto lanes) HWY_ATTR {
        store(load(kTag, b + k * stride + i, lanes), kTag, to + k * width + i, lanes);
      });
    }
    return;
  }
  const std::size_t whole = columns / 4 * 4;
  std::size_t k = 0;
  for (; k + 4 <= depth; k += 4) {
    for (std::size_t n = 0; n < whole; n += 4) Transpose4(b + n * stride + k, stride, to + k * width + n, width);
    for (std::size_t n = whole; n < columns; ++n)
      for (std::size_t i = 0; i < 4; ++i) to[(k + i) * width + n] = b[n * stride + k + i];
  }
  for (; k < depth; ++k)
    for (std::size_t n = 0; n < columns; ++n) to[k * width + n] = b[n * stride + k];
}

// Columns [column, column + columns) of rows [row, row_end) of C.
void Panel(const MatmulDims& dims, const float* a, const float* b, const float* bias, float* c, std::size_t row,
           std::size_t row_end, std::size_t column, std::size_t columns, float* packed) {
  const std::size_t lanes = hn::Lanes(kTag);
  const bool narrow = columns <= lanes;
  const std::size_t width = narrow ? lanes : kVectors * lanes;
  const bool direct = !dims.transpose_b && columns == width && row_end - row <= kUnpackedRows;
  const std::size_t tiles = (row_end - row + kRows - 1) / kRows;
  for (std::size_t k = 0; k < std::max<std::size_t>(dims.k, 1); k += kDepth) {
    const std::size_t depth = std::min(kDepth, dims.k - k);
    const float* from = dims.transpose_b ? b + column * dims.k + k : b + k * dims.n + column;
    if (!direct) PackB(from, dims.transpose_b ? dims.k : dims.n, dims.transpose_b, depth, columns, width, packed);
    for (std::size_t tile = 0; tile < tiles; ++tile) {
      const std::size_t begin = row + (row_end - row) * tile / tiles, end = row + (row_end - row) * (tile + 1) / tiles;
      TileFor(end - begin, narrow,
              dims.transpose_a)({.a = dims.transpose_a ? a + k * dims.m + begin : a + begin * dims.k + k,
                                 .stride_a = dims.transpose_a ? dims.m : dims.k,
                                 .b = direct ? from : packed,
                                 .stride_b = direct ? dims.n : width,
                                 .depth = depth,
                                 .bias = k == 0 && bias != nullptr ? bias + column : nullptr,
                                 .load_c = k != 0 || dims.accumulate,
                                 .c = c + begin * dims.n + column,
                                 .stride_c = dims.n,
                                 .columns = columns});
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

namespace {

// A task is one panel of columns by one block of rows of one matrix of the batch: it owns its part of C.
void fma_matmul(const Device& device, const MatmulDims& dims, const float* a, const float* b, const float* bias,
                float* c) {
  const std::size_t width = TAPESTRY_CALL(device.target, PanelWidth)();
  const std::size_t rows = TAPESTRY_CALL(device.target, RowBlock)();
  const std::size_t panels = (dims.n + width - 1) / width, blocks = (dims.m + rows - 1) / rows;
  const auto task = [&](std::size_t number) {
    const std::size_t panel = number % panels, block = number / panels % blocks, batch = number / panels / blocks;
    const Block packed = device.arena.allocate(TAPESTRY_CALL(device.target, PackedFloats)() * sizeof(float));
    TAPESTRY_CALL(device.target, Panel)
    (dims, a + batch * dims.stride_a, b + batch * dims.stride_b, bias, c + batch * dims.stride_c, block * rows,
     std::min(dims.m, (block + 1) * rows), panel * width, std::min(width, dims.n - panel * width),
     reinterpret_cast<float*>(packed.data()));
  };
  const std::size_t tasks = panels * blocks * dims.batch;
  if (dims.batch * dims.m * dims.n * dims.k < 8 * kGrain)
    for (std::size_t number = 0; number < tasks; ++number) task(number);
  else
    device.pool.run(tasks, task);
}

constexpr MatrixUnit kFma{"fma", fma_matmul};

}  // namespace

const MatrixUnit& matrix_unit(Target, Precision) { return kFma; }

void matmul(const Device& device, const MatmulDims& dims, std::span<const float> a, std::span<const float> b,
            std::span<const float> bias, std::span<float> c) {
  if (dims.batch * dims.m * dims.n == 0) return;
  device.unit->matmul(device, dims, a.data(), b.data(), bias.empty() ? nullptr : bias.data(), c.data());
}

}  // namespace tapestry::kernels
#endif
