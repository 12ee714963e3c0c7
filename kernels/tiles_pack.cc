#include "kernels/tiles_pack.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/tiles_pack.cc"
#include "kernels/highway.h"
//
#include "kernels/pack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

const hn::RebindToUnsigned<decltype(kTag)> kBitsTag;
using Bits = hn::Vec<decltype(kBitsTag)>;
const hn::Rebind<Bf16, decltype(kTag)> kHalfTag;

// Takes the next term off x: its bits are the upper half of each lane, the rest of x stays. Rounding is done on
// integers, as conversions to bf16 differ from target to target.
HWY_INLINE Bits TakeTerm(V& x) {
  const Bits bits = hn::BitCast(kBitsTag, x), odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(kBitsTag, 1));
  const Bits rounded = hn::Add(bits, hn::Add(odd, hn::Set(kBitsTag, 0x7FFF)));
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

template <std::size_t TERMS>
HWY_INLINE void SplitRow(const float* x, std::size_t columns, const SplitTo& s, Bf16* to, Largest& largest) {
  for_lanes(kTag, columns, [&](std::size_t i, auto lanes) HWY_ATTR {
    V rest = load(kTag, x + i, lanes);
    largest.see(rest);
#pragma GCC unroll 3
    for (std::size_t t = 0; t < TERMS; ++t)
      store(hn::TruncateTo(kHalfTag, hn::ShiftRight<16>(TakeTerm(rest))), kHalfTag, to + t * s.plane + i, lanes);
  });
}

bool SplitRows(const float* x, std::size_t stride, std::size_t rows, std::size_t columns, std::size_t padded,
               const SplitTo& s) {
  return with_terms(s.terms, [&](auto terms) HWY_ATTR {
    Largest largest;
    for (std::size_t i = 0; i < rows; ++i) {
      SplitRow<terms>(x + i * stride, columns, s, s.to + i * s.row, largest);
      for (std::size_t t = 0; t < terms; ++t)
        std::fill(s.to + t * s.plane + i * s.row + columns, s.to + t * s.plane + i * s.row + padded, Bf16{0});
    }
    return largest.finite();
  });
}

bool SplitTransposed(const float* x, std::size_t stride, std::size_t rows, std::size_t columns, const SplitTo& s) {
  constexpr std::size_t kRun = 64;
  return with_terms(s.terms, [&](auto terms) HWY_ATTR {
    Largest largest;
    alignas(64) float block[kTileRows * kRun];
    for (std::size_t j = 0; j < columns; j += kRun)
      for (std::size_t i = 0; i < rows; i += kTileRows) {
        const std::size_t some = std::min(kTileRows, rows - i), run = std::min(kRun, columns - j);
        PackB(x + j * stride + i, stride, true, some, run, run, block);
        for (std::size_t k = 0; k < some; ++k)
          SplitRow<terms>(block + k * run, run, s, s.to + (i + k) * s.row + j, largest);
      }
    return largest.finite();
  });
}

// Columns that do not lie together are copied row by row; rows that do lie together, at once.
HWY_INLINE void GatherRows(StepRows& b, std::size_t columns, float* copy) {
  for (std::size_t k = 0, run; k < kTileDepth; k += run) {
    run = 1;
    if (b.rows[k] == nullptr) continue;
    while (k + run < kTileDepth && b.rows[k + run] == b.rows[k] + run) ++run;
    PackB(b.rows[k], b.stride, true, run, columns, columns, copy + k * columns);
    for (std::size_t i = 0; i < run; ++i) b.rows[k + i] = copy + (k + i) * columns;
  }
}

template <std::size_t TERMS>
HWY_INLINE void PackTile(const StepRows& b, std::size_t first, std::size_t columns, std::size_t plane, Bf16* to,
                         Largest& largest) {
  const auto row = [&](std::size_t k, std::size_t n, auto lanes) HWY_ATTR {
    const V v = b.rows[k] == nullptr ? hn::Zero(kTag) : load(kTag, b.rows[k] + first + n, lanes);
    largest.see(v);
    return v;
  };
  for (std::size_t pair = 0; pair < kTilePairs; ++pair, to += 2 * kTileColumns)
    for_lanes(kTag, columns, [&](std::size_t n, auto lanes) HWY_ATTR {
      V even = row(2 * pair, n, lanes), odd = row(2 * pair + 1, n, lanes);
#pragma GCC unroll 3
      for (std::size_t t = 0; t < TERMS; ++t) {
        const Bits low = hn::ShiftRight<16>(TakeTerm(even)), high = TakeTerm(odd);
        store(hn::Or(low, high), kBitsTag, reinterpret_cast<std::uint32_t*>(to + t * plane + 2 * n), lanes);
      }
    });
}

bool PackStep(const StepRows& rows, std::size_t columns, std::size_t terms, std::size_t tiles, Bf16* to) {
  StepRows b = rows;
  alignas(64) float copy[kTileDepth * kBlockColumns];
  if (b.stride != 1) GatherRows(b, columns, copy);
  if (columns != tiles * kTileColumns) std::fill_n(to, terms * tiles * kTileSize, Bf16{0});
  return with_terms(terms, [&](auto count) HWY_ATTR {
    Largest largest;
    for (std::size_t j = 0; j < tiles; ++j) {
      const std::size_t first = j * kTileColumns, some = std::min(kTileColumns, columns - std::min(columns, first));
      PackTile<count>(b, first, some, tiles * kTileSize, to + j * kTileSize, largest);
    }
    return largest.finite();
  });
}

void StoreBlock(const float* block, const BlockStore& s) {
  for (std::size_t m = 0; m < kBlockRows; ++m) {
    float* to = s.rows[m];
    if (to == nullptr) continue;
    const float* from = block + m * kBlockColumns;
    for_lanes(kTag, s.columns, [&](std::size_t n, auto lanes) HWY_ATTR {
      V sum = load(kTag, from + n, lanes);
      if (s.add) sum = hn::Add(sum, load(kTag, to + n, lanes));
      if (s.bias != nullptr) sum = hn::Add(sum, load(kTag, s.bias + n, lanes));
      if (s.relu) sum = hn::IfThenZeroElse(hn::Lt(sum, hn::Zero(kTag)), sum);
      store(sum, kTag, to + n, lanes);
    });
  }
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
bool split_transposed(Target target, const float* x, std::size_t stride, std::size_t rows, std::size_t columns,
                      const SplitTo& s) {
  return TAPESTRY_CALL(target, SplitTransposed)(x, stride, rows, columns, s);
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
