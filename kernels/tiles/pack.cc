#include "kernels/tiles/pack.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/tiles/pack.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/simd/pack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

const hn::RebindToUnsigned<decltype(kTag)> kBitsTag;
using Bits = hn::Vec<decltype(kBitsTag)>;
const hn::Repartition<Bf16, decltype(kTag)> kPairsTag;
const hn::Rebind<Bf16, decltype(kTag)> kHalfTag;

// Takes term t off x: the upper half of each lane of the result; what is left of x stays. Rounding is done on integers,
// as conversions to bf16 differ from target to target.
template <std::size_t TERMS>
HWY_INLINE Bits TakeTerm(V& x, std::size_t t) {
  const Bits bits = hn::BitCast(kBitsTag, x);
  if (t == 2) return bits;
  if (TERMS == 1) {
    const Bits odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(kBitsTag, 1));
    return hn::Add(bits, hn::Add(odd, hn::Set(kBitsTag, 0x7FFF)));
  }
  const Bits rounded = hn::Add(bits, hn::Set(kBitsTag, 0x8000));
  if (t == TERMS - 1) return rounded;
  const Bits term = hn::And(rounded, hn::Set(kBitsTag, 0xFFFF0000));
  x = hn::Sub(x, hn::BitCast(kTag, term));
  return term;
}

const hn::RebindToSigned<decltype(kTag)> kSignedTag;

// The largest magnitude seen, as bits.
class Largest {
 public:
  HWY_INLINE Largest() : bits_(hn::Zero(kSignedTag)) {}
  HWY_INLINE void see(V x) {
    bits_ = hn::Max(bits_, hn::And(hn::BitCast(kSignedTag, x), hn::Set(kSignedTag, 0x7FFFFFFF)));
  }
  HWY_INLINE bool finite() const {
    constexpr std::int32_t kRoundsToInfinity = 0x7F7F8000;  // the least that does
    return hn::AllTrue(kSignedTag, hn::Lt(bits_, hn::Set(kSignedTag, kRoundsToInfinity)));
  }

 private:
  hn::Vec<decltype(kSignedTag)> bits_;
};

// The upper halves of two vectors, one behind the other.
HWY_INLINE void StoreTerms(Bits first, Bits second, Bf16* to) {
#if HWY_TARGET == HWY_SCALAR
  to[0] = static_cast<Bf16>(first.raw >> 16);
  to[1] = static_cast<Bf16>(second.raw >> 16);
#else
  const auto terms = hn::ConcatOdd(kPairsTag, hn::BitCast(kPairsTag, second), hn::BitCast(kPairsTag, first));
  hn::StoreU(terms, kPairsTag, to);
#endif
}

template <std::size_t TERMS>
HWY_INLINE void SplitRow(const float* x, std::size_t columns, const SplitTo& s, Bf16* to, Largest& largest) {
  const std::size_t step = hn::Lanes(kTag);
  for_blocks(kTag, columns, [&](std::size_t i, auto vectors, auto lanes) HWY_ATTR {
    if constexpr (vectors == 1) {
      V rest = load(kTag, x + i, lanes);
      largest.see(rest);
#pragma GCC unroll 3
      for (std::size_t t = 0; t < TERMS; ++t)
        store(hn::TruncateTo(kHalfTag, hn::ShiftRight<16>(TakeTerm<TERMS>(rest, t))), kHalfTag, to + t * s.plane + i,
              lanes);
    } else {
      for (std::size_t v = 0; v < vectors; v += 2) {
        const std::size_t at = i + v * step;
        V first = hn::LoadU(kTag, x + at), second = hn::LoadU(kTag, x + at + step);
        largest.see(first);
        largest.see(second);
#pragma GCC unroll 3
        for (std::size_t t = 0; t < TERMS; ++t) {
          const Bits term = TakeTerm<TERMS>(first, t);
          StoreTerms(term, TakeTerm<TERMS>(second, t), to + t * s.plane + at);
        }
      }
    }
  });
}

bool SplitRows(const float* x, std::size_t stride, std::size_t rows, std::size_t columns, std::size_t padded,
               const SplitTo& s) {
  return with_terms(s.terms, [&](auto terms) HWY_ATTR {
    Largest largest;
    for (std::size_t i = 0; i < rows; ++i) {
      SplitRow<terms>(x + i * stride, columns, s, s.to + i * s.row, largest);
      for (std::size_t t = 0; t < terms && columns < padded; ++t)
        std::fill(s.to + t * s.plane + i * s.row + columns, s.to + t * s.plane + i * s.row + padded, Bf16{0});
    }
    return largest.finite();
  });
}

constexpr std::size_t kTileFloats = kTileSize / 2;  // a tile of B, by pairs

// Pairs of rows side by side, [terms][tiles][16 pairs][16 columns]; what is behind the columns is left alone.
template <std::size_t TERMS, class Columns>
HWY_INLINE void PackPairs(const StepRows& b, Columns columns, std::size_t tiles, float* to, Largest& largest) {
  alignas(64) static constexpr float kZeros[kBlockColumns] = {};
  for (std::size_t k = 0; k < kTileDepth; k += 2, to += kTileColumns) {
    const float* even_row = k < b.depth ? b.rows[k] + b.first : kZeros;
    const float* odd_row = k + 1 < b.depth ? b.rows[k + 1] + b.first : kZeros;
    for_lanes(kTag, columns, [&](std::size_t n, auto lanes) HWY_ATTR {
      V even = load(kTag, even_row + n, lanes), odd = load(kTag, odd_row + n, lanes);
      largest.see(even);
      largest.see(odd);
      float* pairs = to + n / kTileColumns * kTileFloats + n % kTileColumns;
#pragma GCC unroll 3
      for (std::size_t t = 0; t < TERMS; ++t) {
        const Bits low = hn::ShiftRight<16>(TakeTerm<TERMS>(even, t));
        const Bits high = hn::And(TakeTerm<TERMS>(odd, t), hn::Set(kBitsTag, 0xFFFF0000));
        store(hn::BitCast(kTag, hn::Or(low, high)), kTag, pairs + t * tiles * kTileFloats, lanes);
      }
    });
  }
}

// Calls body(columns), with those of a whole block known to the compiler.
template <class Body>
HWY_INLINE void WithColumns(std::size_t columns, const Body& body) {
  if (columns == kBlockColumns) return body(std::integral_constant<std::size_t, kBlockColumns>{});
  body(columns);
}

template <std::size_t TERMS>
HWY_INLINE bool PackTiles(const StepRows& b, std::size_t columns, std::size_t tiles, float* to) {
  Largest largest;
  if (columns != tiles * kTileColumns) std::fill_n(to, TERMS * tiles * kTileFloats, 0.0f);
  WithColumns(columns, [&](auto count) HWY_ATTR { PackPairs<TERMS>(b, count, tiles, to, largest); });
  return largest.finite();
}

// 16 x 16 pairs.
HWY_INLINE void TransposeTile(const float* from, float* to, std::size_t stride_to) {
  const std::size_t lanes = std::max<std::size_t>(hn::Lanes(kTag), 4);
  for (std::size_t i = 0; i < kTileColumns; i += lanes)
    for (std::size_t j = 0; j < kTilePairs; j += lanes)
      TransposeSquare(from + j * kTileColumns + i, kTileColumns, to + i * stride_to + j, stride_to);
}

bool SplitTransposed(const StepRows& rows, std::size_t columns, const SplitTo& s) {
  alignas(64) float pairs[3 * 2 * kTileFloats], tile[kTileFloats];
  const std::size_t tiles = columns <= kTileColumns ? 1 : 2;
  const bool finite =
      with_terms(s.terms, [&](auto terms) HWY_ATTR { return PackTiles<terms>(rows, columns, tiles, pairs); });
  for (std::size_t t = 0; t < s.terms; ++t)
    for (std::size_t j = 0; j < tiles; ++j) {
      const float* from = pairs + (t * tiles + j) * kTileFloats;
      float* to = reinterpret_cast<float*>(s.to + t * s.plane + j * kTileColumns * s.row);
      const std::size_t some = std::min(kTileColumns, columns - j * kTileColumns);
      if (some == kTileColumns) {
        TransposeTile(from, to, s.row / 2);
        continue;
      }
      TransposeTile(from, tile, kTilePairs);
      for (std::size_t n = 0; n < some; ++n) std::copy_n(tile + n * kTilePairs, kTilePairs, to + n * s.row / 2);
    }
  return finite;
}

// Columns that do not lie together are copied row by row; rows that do lie together, at once.
HWY_INLINE void GatherRows(const StepRows& b, std::size_t columns, float* copy, const float** rows) {
  for (std::size_t k = 0, run; k < b.depth; k += run) {
    run = 1;
    while (k + run < b.depth && b.rows[k + run] == b.rows[k] + run) ++run;
    PackB(b.rows[k] + b.first, b.stride, true, run, columns, columns, copy + k * columns);
    for (std::size_t i = k; i < k + run; ++i) rows[i] = copy + i * columns;
  }
}

bool PackStep(const StepRows& b, std::size_t columns, std::size_t terms, std::size_t tiles, Bf16* to) {
  alignas(64) float copy[kTileDepth * kBlockColumns];
  const float* rows[kTileDepth];
  if (b.stride != 1) GatherRows(b, columns, copy, rows);
  const StepRows together = b.stride == 1 ? b : StepRows{.rows = rows, .depth = b.depth};
  return with_terms(terms, [&](auto count) HWY_ATTR {
    return PackTiles<count>(together, columns, tiles, reinterpret_cast<float*>(to));
  });
}

template <bool ADD, class Columns>
HWY_INLINE void StoreRows(const float* block, const BlockStore& s, Columns columns) {
  const float* bias = s.bias;
  const bool relu = s.relu;
  for (std::size_t tile = 0; tile < 2; ++tile, block += kTileRows * kBlockColumns) {
    const std::size_t* at = s.at[tile];
    for (std::size_t m = 0; m < kTileRows && at != nullptr; ++m) {
      if (at[m] == kNowhere) continue;
      const float* from = block + m * kBlockColumns;
      float* to = s.to + at[m];
      for_lanes(kTag, columns, [&](std::size_t n, auto lanes) HWY_ATTR {
        V sum = load(kTag, from + n, lanes);
        if (ADD) sum = hn::Add(sum, load(kTag, to + n, lanes));
        if (bias != nullptr) sum = hn::Add(sum, load(kTag, bias + n, lanes));
        if (relu) sum = hn::IfThenZeroElse(hn::Lt(sum, hn::Zero(kTag)), sum);
        store(sum, kTag, to + n, lanes);
      });
    }
  }
}

void StoreBlock(const float* block, const BlockStore& s) {
  WithColumns(s.columns, [&](auto columns) HWY_ATTR {
    s.add ? StoreRows<true>(block, s, columns) : StoreRows<false>(block, s, columns);
  });
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {

HWY_EXPORT(SplitRows);
HWY_EXPORT(SplitTransposed);
HWY_EXPORT(PackStep);
HWY_EXPORT(StoreBlock);

bool split_rows(Target target, const float* x, std::size_t stride, std::size_t rows, std::size_t columns,
                std::size_t padded, const SplitTo& s) {
  return TAPESTRY_CALL(target, SplitRows)(x, stride, rows, columns, padded, s);
}
bool split_transposed(Target target, const StepRows& rows, std::size_t columns, const SplitTo& s) {
  return TAPESTRY_CALL(target, SplitTransposed)(rows, columns, s);
}
bool pack_step(Target target, const StepRows& rows, std::size_t columns, std::size_t terms, std::size_t tiles,
               Bf16* to) {
  return TAPESTRY_CALL(target, PackStep)(rows, columns, terms, tiles, to);
}
void store_block(Target target, const float* block, const BlockStore& s) {
  TAPESTRY_CALL(target, StoreBlock)(block, s);
}

}  // namespace tapestry::kernels
#endif
