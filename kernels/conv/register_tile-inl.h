// The innermost part of convolutions: sums of some pixels x output channels in registers. Included once for each
// target.

#if defined(TAPESTRY_KERNELS_CONV_TILE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_CONV_TILE_INL_H
#undef TAPESTRY_KERNELS_CONV_TILE_INL_H
#else
#define TAPESTRY_KERNELS_CONV_TILE_INL_H
#endif

#include <array>
#include <cstddef>
#include <utility>

#include "kernels/conv/plan.h"
#include "kernels/simd/register_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

constexpr std::size_t kMaxLines = 4;

// A register tile is a few lines of pixels that lie evenly apart, `columns` output channels each (at most NR vectors).
struct ConvRegisterTile {
  const float* in[kMaxLines] = {};  // the first pixel of each line
  float* out[kMaxLines] = {};
  std::size_t in_stride = 0, out_stride = 0;  // from pixel to pixel
  const ConvRun* runs = nullptr;              // what the first pixel sums
  std::size_t run_count = 0;
  const float* panel = nullptr;  // the weights of each input, NR vectors
  const float* bias = nullptr;   // of each column; nullptr: none
  bool relu = false;
  std::size_t columns = 0;
  // What is fetched meanwhile: at every step, what the next tile reads; after every `pause` steps, a pixel of the
  // outputs to be written. At 0, none.
  const float* ahead = nullptr;
  std::size_t ahead_stride = 0, pause = 0;
  // Of rows alone: from the weights of a tap to those of the next, and which inputs from the first pixel lie inside x.
  std::size_t tap_stride = 0, begin = 0, end = 0;
};

// The inputs that a register tile reads at each step. Pixels are addressed from every fourth one: more strides than
// that do not fit the registers, nor would a pointer to each pixel.
template <std::size_t LINES, std::size_t LENGTH>
struct PixelsOfRegisterTile {
  static constexpr std::size_t kPart = 4, kParts = (LENGTH + kPart - 1) / kPart;

  HWY_INLINE explicit PixelsOfRegisterTile(const ConvRegisterTile& t) : stride(t.in_stride) {
#pragma GCC unroll 4
    for (std::size_t i = 0; i < LINES; ++i)
#pragma GCC unroll 4
      for (std::size_t part = 0; part < kParts; ++part) at[i][part] = t.in[i] + part * kPart * stride;
  }
  HWY_INLINE V operator()(std::size_t line, std::size_t pixel) const {
    return hn::Set(kTag, at[line][pixel / kPart][pixel % kPart * stride]);
  }
  HWY_INLINE void move(std::ptrdiff_t distance) {
#pragma GCC unroll 4
    for (std::size_t i = 0; i < LINES; ++i)
#pragma GCC unroll 4
      for (std::size_t part = 0; part < kParts; ++part) at[i][part] += distance;
  }

  const float* at[LINES][kParts];
  std::size_t stride;
};

// Calls body(sum, line, pixel, vector) for all sums of a register tile.
template <std::size_t LINES, std::size_t LENGTH, std::size_t NR, class Body>
HWY_INLINE void ForAll(V (&sums)[LINES][LENGTH][NR], const Body& body) {
#pragma GCC unroll 4
  for (std::size_t i = 0; i < LINES; ++i)
#pragma GCC unroll 32
    for (std::size_t m = 0; m < LENGTH; ++m)
#pragma GCC unroll 2
      for (std::size_t n = 0; n < NR; ++n) body(sums[i][m][n], i, m, n);
}

// Sums start from the bias.
template <std::size_t LINES, std::size_t LENGTH, std::size_t NR>
HWY_INLINE void StartSums(const ConvRegisterTile& t, V (&acc)[LINES][LENGTH][NR]) {
  const std::size_t lanes = hn::Lanes(kTag);
#pragma GCC unroll 2
  for (std::size_t n = 0; n < NR; ++n) {
    const V bias = t.bias == nullptr ? hn::Zero(kTag) : LoadSome(t.bias + n * lanes, t.columns - n * lanes);
#pragma GCC unroll 4
    for (std::size_t i = 0; i < LINES; ++i)
#pragma GCC unroll 32
      for (std::size_t m = 0; m < LENGTH; ++m) acc[i][m][n] = bias;
  }
}

template <std::size_t LINES, std::size_t LENGTH, std::size_t NR>
HWY_INLINE void StoreSums(const ConvRegisterTile& t, V (&acc)[LINES][LENGTH][NR]) {
  if (t.relu)
    ForAll(acc, [](V& sum, std::size_t, std::size_t, std::size_t)
                    HWY_ATTR { sum = hn::IfThenZeroElse(hn::Lt(sum, hn::Zero(kTag)), sum); });
  const std::size_t lanes = hn::Lanes(kTag);
  float* out[LINES];
#pragma GCC unroll 4
  for (std::size_t i = 0; i < LINES; ++i) out[i] = t.out[i];
  const std::size_t stride = t.out_stride, columns = t.columns;
  if (columns == NR * lanes)
    ForAll(acc, [&](V& sum, std::size_t i, std::size_t m, std::size_t n)
                    HWY_ATTR { hn::StoreU(sum, kTag, out[i] + m * stride + n * lanes); });
  else
    ForAll(acc, [&](V& sum, std::size_t i, std::size_t m, std::size_t n)
                    HWY_ATTR { StoreSome(sum, out[i] + m * stride + n * lanes, columns - n * lanes); });
}

// Fetches the outputs of a register tile one pixel after the other, while it sums.
template <std::size_t LINES, std::size_t LENGTH, std::size_t NR>
class OutputsAhead {
 public:
  HWY_INLINE explicit OutputsAhead(const ConvRegisterTile& t) : left_(t.pause) {}
  HWY_INLINE void step(const ConvRegisterTile& t) {
    if (--left_ != 0 || pixel_ == LINES * LENGTH) return;
    const float* to = t.out[pixel_ / LENGTH] + pixel_ % LENGTH * t.out_stride;
    for (std::size_t i = 0; i < NR * hn::Lanes(kTag); i += 16) __builtin_prefetch(to + i, 1, 3);
    ++pixel_;
    left_ = t.pause;
  }

 private:
  std::size_t left_, pixel_ = 0;
};

template <std::size_t LINES, std::size_t LENGTH, std::size_t NR, bool kDense>
void SumRegisterTile(const ConvRegisterTile& t) {
  const std::size_t lanes = hn::Lanes(kTag);
  V acc[LINES][LENGTH][NR];
  StartSums(t, acc);
  OutputsAhead<LINES, LENGTH, NR> outputs(t);
  const float *panel = t.panel, *ahead = t.ahead;
  const std::size_t ahead_stride = t.ahead_stride;
  PixelsOfRegisterTile<LINES, LENGTH> pixels(t);
  for (const ConvRun *run = t.runs, *end = run + t.run_count; run != end; ++run) {
    pixels.move(run->jump);
    panel += run->panel_jump;
    for (std::size_t k = kDense ? 1 : run->count; k > 0; --k, pixels.move(1), panel += NR * lanes) {
      if (!kDense || HWY_TARGET == HWY_AVX3) outputs.step(t);  // narrower lanes keep short sums busy enough
      if (!kDense) {
        __builtin_prefetch(ahead, 0, 2);
        ahead += ahead_stride;
      }
      V weights[NR];
#pragma GCC unroll 2
      for (std::size_t n = 0; n < NR; ++n) weights[n] = hn::LoadU(kTag, panel + n * lanes);
#pragma GCC unroll 4
      for (std::size_t i = 0; i < LINES; ++i)
#pragma GCC unroll 16
        for (std::size_t m = 0; m < LENGTH; ++m) {
          const V pixel = pixels(i, m);
#pragma GCC unroll 2
          for (std::size_t n = 0; n < NR; ++n) acc[i][m][n] = hn::MulAdd(pixel, weights[n], acc[i][m][n]);
        }
    }
  }
  StoreSums(t, acc);
}

using RegisterTileFunction = void (*)(const ConvRegisterTile&);

template <std::size_t LINES, std::size_t LENGTH, std::size_t NR, bool kDense>
constexpr RegisterTileFunction RegisterTileOrNone() {
  if constexpr (LINES * LENGTH <= kRows)
    return SumRegisterTile<LINES, LENGTH, NR, kDense>;
  else
    return nullptr;
}

template <std::size_t LINES, std::size_t NR, bool kDense, std::size_t... R>
constexpr std::array<RegisterTileFunction, kRows> RegisterTiles(std::index_sequence<R...>) {
  return {RegisterTileOrNone<LINES, R + 1, NR, kDense>()...};
}

template <std::size_t NR, bool kDense>
constexpr std::array<std::array<RegisterTileFunction, kRows>, kMaxLines> kRegisterTiles{
    RegisterTiles<1, NR, kDense>(std::make_index_sequence<kRows>{}),
    RegisterTiles<2, NR, kDense>(std::make_index_sequence<kRows>{}),
    RegisterTiles<3, NR, kDense>(std::make_index_sequence<kRows>{}),
    RegisterTiles<4, NR, kDense>(std::make_index_sequence<kRows>{})};

HWY_INLINE RegisterTileFunction RegisterTileFor(std::size_t lines, std::size_t length, bool narrow, bool dense) {
  static constexpr std::array<std::array<RegisterTileFunction, kRows>, kMaxLines> tables[2][2] = {
      {kRegisterTiles<2, false>, kRegisterTiles<2, true>}, {kRegisterTiles<1, false>, kRegisterTiles<1, true>}};
  return tables[narrow][dense][lines - 1][length - 1];
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
