// The innermost part of the gradient of a convolution's weight: a tile of it in registers. Included once for each
// target.

#if defined(TAPESTRY_KERNELS_CONV_WEIGHTS_TILE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_CONV_WEIGHTS_TILE_INL_H
#undef TAPESTRY_KERNELS_CONV_WEIGHTS_TILE_INL_H
#else
#define TAPESTRY_KERNELS_CONV_WEIGHTS_TILE_INL_H
#endif

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "kernels/conv/weights_plan.h"
#include "kernels/simd/register_tile-inl.h"
#include "kernels/simd/sums-inl.h"
#include "kernels/simd/wide-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

constexpr std::size_t kLine = 16;  // floats of a cache line

// What the next block will read, of dy and of x; each register tile fetches a share of it into L2 while it computes.
struct FetchAhead {
  struct Range {
    std::size_t lines_of_run(std::size_t runs) const {
      return 1 + static_cast<std::size_t>(end - at) / kLine / std::max<std::size_t>(runs, 1);
    }
    void fetch(std::size_t lines) {
      for (; lines != 0 && at < end; --lines, at += kLine) __builtin_prefetch(at, 0, 2);
    }

    const float *at, *end;
  };
  Range next() {
    Range& range = ranges[ranges[0].at == ranges[0].end];
    const float* from = range.at;
    range.at += std::min(share, static_cast<std::size_t>(range.end - from));
    return {from, range.at};
  }

  Range ranges[2];
  std::size_t share;
};

// What the block of a task after the one that ends at `end` reads, to be fetched in `visits` shares. Where in x it lies
// is a guess, good enough to fetch by.
HWY_INLINE FetchAhead FetchAfter(const WeightsInputs& in, const WeightsTask& task, std::size_t end,
                                 std::size_t visits) {
  const std::size_t next = std::min(end + in.plan.block, task.pixel_end);
  const std::size_t x = in.d.x_size() / in.plan.pixels, y = in.d.out_channels;
  return {.ranges = {{in.dy + end * y, in.dy + next * y}, {in.x + end * x, in.x + next * x}},
          .share = (next - end) * (x + y) / visits + kLine};
}

// sums[column] += the sum over the pixels of dy[pixel, column]. Called where register tiles read dy next, so that it is
// in L1.
HWY_INLINE void AddPixels(const float* dy, std::size_t stride, std::size_t pixels, std::size_t columns, double* sums) {
  HWY_ALIGN float run[HWY_MAX_BYTES / sizeof(float)];
  for_lanes(kTag, columns, [&](std::size_t column, auto lanes) HWY_ATTR {
    for (std::size_t pixel = 0; pixel < pixels; pixel += kSumLength) {
      V sum = hn::Zero(kTag);
      for (std::size_t p = pixel, end = std::min(pixel + kSumLength, pixels); p < end; ++p)
        sum = hn::Add(sum, load(kTag, dy + p * stride + column, lanes));
      hn::Store(sum, kTag, run);
      for_lanes(Doubles(), std::min(hn::Lanes(kTag), columns - column), [&](std::size_t i, auto some) HWY_ATTR {
        double* to = sums + column + i;
        store(hn::Add(load(Doubles(), to, some), Widened(run + i, some)), Doubles(), to, some);
      });
    }
  });
}

// Where the rows of a register tile find x beside a pixel: one after the other, or at offsets.
enum class WeightRows { neighbours, offsets };

// dweight[row m, columns] (+)= the sum over the pixels of all runs of x[pixel, row m] dy[pixel, columns].
struct WeightRegisterTileArgs {
  const PixelRun* runs;
  std::size_t run_count, first_row;  // of neighbours
  const std::ptrdiff_t* offsets;     // of the rows from a pixel of x; nullptr: rows are neighbours
  std::size_t stride_x;              // from pixel to pixel
  const float* dy;                   // of the first pixel of the block
  std::size_t stride_dy;
  float* packed;  // where this tile leaves the rows of dy for the next ones; nullptr: nowhere
  bool add;
  float* dweight;
  std::size_t stride_out, columns;
  FetchAhead::Range ahead;
};

// MR rows by NR vectors. The sums of a block start from zero, so that long sums are made of short ones.
template <std::size_t MR, std::size_t NR, WeightRows kKind>
void WeightRegisterTile(const WeightRegisterTileArgs& t) {
  const std::size_t lanes = hn::Lanes(kTag);
  V acc[MR][NR];
#pragma GCC unroll 32
  for (std::size_t m = 0; m < MR; ++m)
#pragma GCC unroll 2
    for (std::size_t n = 0; n < NR; ++n) acc[m][n] = hn::Zero(kTag);
  std::ptrdiff_t offsets[MR];
#pragma GCC unroll 32
  for (std::size_t m = 0; m < MR; ++m)
    offsets[m] = kKind == WeightRows::neighbours ? static_cast<std::ptrdiff_t>(m) : t.offsets[m];
  FetchAhead::Range ahead = t.ahead;
  const std::size_t lines = ahead.lines_of_run(t.run_count);
  for (const PixelRun* run = t.runs; run != t.runs + t.run_count; ++run) {
    ahead.fetch(lines);
    const float* x = run->x + t.first_row;
    const float* dy = t.dy + run->pixel * t.stride_dy;
    float* packed = t.packed == nullptr ? nullptr : t.packed + run->pixel * NR * lanes;
    for (std::size_t left = run->count; left != 0; --left, x += t.stride_x, dy += t.stride_dy) {
      V vy[NR];
#pragma GCC unroll 2
      for (std::size_t n = 0; n < NR; ++n) vy[n] = hn::LoadU(kTag, dy + n * lanes);
      if (packed != nullptr) {
#pragma GCC unroll 2
        for (std::size_t n = 0; n < NR; ++n) hn::StoreU(vy[n], kTag, packed + n * lanes);
        packed += NR * lanes;
      }
#pragma GCC unroll 32
      for (std::size_t m = 0; m < MR; ++m) {
        const float* from = x + (kKind == WeightRows::neighbours ? static_cast<std::ptrdiff_t>(m) : offsets[m]);
        const V vx = hn::Set(kTag, *from);
#pragma GCC unroll 2
        for (std::size_t n = 0; n < NR; ++n) acc[m][n] = hn::MulAdd(vx, vy[n], acc[m][n]);
      }
    }
  }
#pragma GCC unroll 32
  for (std::size_t m = 0; m < MR; ++m)
#pragma GCC unroll 2
    for (std::size_t n = 0; n < NR; ++n) {
      float* to = t.dweight + m * t.stride_out + n * lanes;
      const std::size_t left = t.columns - n * lanes;
      StoreSome(t.add ? hn::Add(acc[m][n], LoadSome(to, left)) : acc[m][n], to, left);
    }
}

using WeightRegisterTileFunction = void (*)(const WeightRegisterTileArgs&);

template <std::size_t NR, WeightRows kKind, std::size_t... R>
constexpr std::array<WeightRegisterTileFunction, sizeof...(R)> WeightRegisterTiles(std::index_sequence<R...>) {
  return {WeightRegisterTile<R + 1, NR, kKind>...};
}

// The most rows of a register tile that is one or two vectors wide.
HWY_INLINE std::size_t MaxWeightRows(bool narrow) { return narrow ? 2 * kRows : kRows; }

inline WeightRegisterTileFunction WeightRegisterTileFor(std::size_t rows, bool narrow, WeightRows kind) {
  using Wide = std::make_index_sequence<kRows>;
  using Narrow = std::make_index_sequence<2 * kRows>;
  static constexpr std::array wide{WeightRegisterTiles<2, WeightRows::neighbours>(Wide{}),
                                   WeightRegisterTiles<2, WeightRows::offsets>(Wide{})};
  static constexpr std::array single{WeightRegisterTiles<1, WeightRows::neighbours>(Narrow{}),
                                     WeightRegisterTiles<1, WeightRows::offsets>(Narrow{})};
  const auto which = static_cast<std::size_t>(kind);
  return narrow ? single[which][rows - 1] : wide[which][rows - 1];
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
