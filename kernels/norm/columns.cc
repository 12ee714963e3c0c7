#include "kernels/norm/columns.h"

#include <algorithm>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm/columns.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/norm/mask-inl.h"
#include "kernels/norm/stream-inl.h"
#include "kernels/simd/lanes-inl.h"
#include "kernels/simd/wide-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

constexpr std::size_t kRowsAtOnce = 8;         // which share the factors of their columns
inline constexpr std::size_t kFloatRows = 64;  // whose sums stay in float
// The fewer positions there are, the more the rounding of each square shows in the variance. Below kFewPositions the
// moments are summed in double, below kSomePositions in floats over kRowsAtOnce rows, from there on over kFloatRows
// rows. With kFloatRows throughout, the variance was seen to be off by up to 7 roundings below kFewPositions and 4.6
// above.
inline constexpr std::size_t kFewPositions = 64, kSomePositions = 768;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

// Calls body(row, count, columns) for [row, row + count) in runs of kRows, known to the compiler, then of one row, then
// for the first columns of the row that is cut short.
template <std::size_t kRows, class Body>
HWY_INLINE void ForRows(std::size_t begin, std::size_t end, std::size_t width, std::size_t cut, const Body& body) {
  constexpr std::integral_constant<std::size_t, kRows> kMany;
  constexpr std::integral_constant<std::size_t, 1> kOne;
  std::size_t row = begin;
  for (; row + kRows <= end; row += kRows) body(row, kMany, width);
  for (; row < end; ++row) body(row, kOne, width);
  if (cut > 0) body(row, kOne, cut);
}

// Two sums of each column, in floats over so many rows: prepare(j, lanes) gives the factors of the columns at j, add(i,
// factors, lanes, sums) adds the terms of the elements at i.
template <class Prepare, class Add>
HWY_INLINE void ColumnSums(std::size_t size, std::size_t width, std::size_t float_rows, const NormSums& to,
                           const Prepare& prepare, const Add& add) {
  const D d;
  const std::size_t rows = size / width, cut = size % width;
  float *HWY_RESTRICT first = to.partial, *HWY_RESTRICT second = to.partial + width;
  std::fill(to.totals, to.totals + 2 * width, 0.0);
  std::size_t row = 0;
  do {
    std::fill(to.partial, to.partial + 2 * width, 0.0f);
    const std::size_t end = std::min(rows, row + float_rows);
    ForRows<kRowsAtOnce>(row, end, width, end == rows ? cut : 0,
                         [&](std::size_t r, auto count, std::size_t columns) HWY_ATTR {
                           for_lanes(d, columns, [&](std::size_t j, auto lanes) HWY_ATTR {
                             const auto factors = prepare(j, lanes);
                             V even[2] = {hn::Zero(d), hn::Zero(d)}, odd[2] = {hn::Zero(d), hn::Zero(d)};
                             for (std::size_t k = 0; k < count; ++k)
                               add((r + k) * width + j, factors, lanes, k % 2 == 0 ? even : odd);
                             store(hn::Add(load(d, first + j, lanes), hn::Add(even[0], odd[0])), d, first + j, lanes);
                             store(hn::Add(load(d, second + j, lanes), hn::Add(even[1], odd[1])), d, second + j, lanes);
                           });
                         });
    row = end;
    for (std::size_t j = 0; j < 2 * width; ++j) to.totals[j] += static_cast<double>(to.partial[j]);
  } while (row < rows);
}

// Calls body(i, factors, lanes) for all elements i, with the factors of their columns. One row at once keeps the order
// that caches like best for what they are to hold; several share factors where the result passes them by.
template <bool kStream, class Prepare, class Body>
HWY_INLINE void ForColumns(std::size_t size, std::size_t width, const Prepare& prepare, const Body& body) {
  ForRows<kStream ? kRowsAtOnce : 1>(0, size / width, width, size % width,
                                     [&](std::size_t r, auto count, std::size_t columns) HWY_ATTR {
                                       for_lanes(D(), columns, [&](std::size_t j, auto lanes) HWY_ATTR {
                                         const auto factors = prepare(j, lanes);
                                         for (std::size_t k = 0; k < count; ++k)
                                           body((r + k) * width + j, factors, lanes);
                                       });
                                     });
}

// Factors of columns in registers.
struct Affine {
  V center, scale, offset;
};
struct Gradient {
  Affine affine;
  V slope, rest, shift;
};

template <class Lanes>
HWY_INLINE Affine AffineOf(const NormColumns& columns, std::size_t j, Lanes lanes) {
  const D d;
  return {load(d, columns.center + j, lanes), load(d, columns.scale + j, lanes), load(d, columns.offset + j, lanes)};
}
template <bool kShifted, class Lanes>
HWY_INLINE V ShiftOf(const NormColumns& columns, std::size_t j, Lanes lanes) {
  if constexpr (kShifted) return load(D(), columns.shift + j, lanes);
  return hn::Zero(D());
}
template <bool kShifted, class Lanes>
HWY_INLINE Gradient GradientOf(const NormColumns& columns, std::size_t j, Lanes lanes) {
  const D d;
  return {AffineOf(columns, j, lanes), load(d, columns.slope + j, lanes), load(d, columns.rest + j, lanes),
          ShiftOf<kShifted>(columns, j, lanes)};
}

// The moments of few positions, in double: each of their roundings would be seen.
HWY_INLINE void MomentsOfFew(const float* HWY_RESTRICT x, std::size_t size, const NormColumns& columns,
                             double* HWY_RESTRICT totals) {
  const Doubles d;
  const std::size_t width = columns.width;
  std::fill(totals, totals + 2 * width, 0.0);
  ForRows<kRowsAtOnce>(0, size / width, width, size % width, [&](std::size_t r, auto count, std::size_t used) HWY_ATTR {
    for_lanes(d, used, [&](std::size_t j, auto lanes) HWY_ATTR {
      const auto center = Widened(columns.center + j, lanes);
      auto sum = load(d, totals + j, lanes), squares = load(d, totals + width + j, lanes);
      for (std::size_t k = 0; k < count; ++k) {
        const auto t = hn::Sub(Widened(x + (r + k) * width + j, lanes), center);
        sum = hn::Add(sum, t);
        squares = hn::MulAdd(t, t, squares);
      }
      store(sum, d, totals + j, lanes);
      store(squares, d, totals + width + j, lanes);
    });
  });
}

void ColumnMoments(const float* HWY_RESTRICT x, std::size_t size, std::size_t positions, const NormColumns& columns,
                   const NormSums& to) {
  if (positions < kFewPositions) return MomentsOfFew(x, size, columns, to.totals);
  const D d;
  ColumnSums(
      size, columns.width, positions < kSomePositions ? kRowsAtOnce : kFloatRows, to,
      [&](std::size_t j, auto lanes) HWY_ATTR { return load(d, columns.center + j, lanes); },
      [&](std::size_t i, V center, auto lanes, V* sums) HWY_ATTR {
        const auto t = hn::Sub(ReadAhead(d, x + i, lanes), center);
        sums[0] = hn::Add(sums[0], t);
        sums[1] = hn::MulAdd(t, t, sums[1]);
      });
}

// The norm itself. Forward and backward must find the same sign, so it is written once.
HWY_INLINE V Scaled(const Affine& factors, V t) { return hn::MulAdd(t, factors.scale, factors.offset); }

template <NormMask kMask, class Lanes>
HWY_INLINE V Passed(const NormPiece& piece, const Affine& factors, V t, std::size_t i, Lanes lanes) {
  const D d;
  const V g = ReadAhead(d, piece.dy + i, lanes);
  if constexpr (kMask == NormMask::none)
    return g;
  else if constexpr (kMask == NormMask::computed)
    return PositivePart(d, Scaled(factors, t), g);
  else
    return PositivePart(d, load(d, piece.y + i, lanes), g);
}

template <bool kShifted>
HWY_INLINE V Shifted(V g, V shift) {
  if constexpr (kShifted) return hn::Sub(g, shift);
  return g;
}

// Calls body(mask, shift), both known to the compiler; with a ReLU there is none.
template <class Body>
HWY_INLINE void WithGradients(NormMask mask, const NormColumns& columns, const Body& body) {
  if (columns.shift != nullptr) return body(std::integral_constant<NormMask, NormMask::none>{}, std::true_type{});
  WithMask(mask, [&](auto constant) HWY_ATTR { body(constant, std::false_type{}); });
}

template <NormMask kMask, bool kShifted, bool kResidual>
HWY_INLINE void Products(const NormPiece& piece, const NormColumns& columns, const NormSums& to) {
  const D d;
  ColumnSums(
      piece.size, columns.width, kFloatRows, to,
      [&](std::size_t j, auto lanes) HWY_ATTR { return GradientOf<kShifted>(columns, j, lanes); },
      [&](std::size_t i, const Gradient& factors, auto lanes, V* sums) HWY_ATTR {
        const auto t = hn::Sub(ReadAhead(D(), piece.x + i, lanes), factors.affine.center);
        const auto g = Passed<kMask>(piece, factors.affine, t, i, lanes);
        sums[0] = hn::MulAdd(g, t, sums[0]);
        sums[1] = hn::Add(sums[1], Shifted<kShifted>(g, factors.shift));
        if constexpr (kResidual) store(g, d, piece.dresidual + i, lanes);
      });
}

void ColumnProducts(const NormPiece& piece, NormMask mask, const NormColumns& columns, const NormSums& to) {
  WithGradients(mask, columns, [&](auto constant, auto shift) HWY_ATTR {
    if (piece.dresidual == nullptr)
      Products<decltype(constant)::value, decltype(shift)::value, false>(piece, columns, to);
    else
      Products<decltype(constant)::value, decltype(shift)::value, true>(piece, columns, to);
  });
}

template <bool kRelu, bool kResidual>
HWY_INLINE void Normalize(const NormPiece& piece, const NormColumns& columns) {
  const D d;
  WithStream(piece.stream, [&](auto stream) HWY_ATTR {
    ForColumns<decltype(stream)::value>(
        piece.size, columns.width, [&](std::size_t j, auto lanes) HWY_ATTR { return AffineOf(columns, j, lanes); },
        [&](std::size_t i, const Affine& factors, auto lanes) HWY_ATTR {
          auto v = Scaled(factors, hn::Sub(ReadAhead(D(), piece.x + i, lanes), factors.center));
          if constexpr (kResidual) v = hn::Add(v, load(d, piece.residual + i, lanes));
          if constexpr (kRelu) v = PositivePart(d, v, v);
          Write<decltype(stream)::value>(d, v, piece.out + i, lanes);
        });
  });
}

void NormalizeColumns(const NormPiece& piece, bool relu, const NormColumns& columns) {
  if (piece.residual == nullptr)
    return relu ? Normalize<true, false>(piece, columns) : Normalize<false, false>(piece, columns);
  return relu ? Normalize<true, true>(piece, columns) : Normalize<false, true>(piece, columns);
}

void GradientColumns(const NormPiece& piece, NormMask mask, const NormColumns& columns) {
  WithGradients(mask, columns, [&](auto constant, auto shifted) HWY_ATTR {
    constexpr bool kShifted = decltype(shifted)::value;
    WithStream(piece.stream, [&](auto stream) HWY_ATTR {
      ForColumns<decltype(stream)::value>(
          piece.size, columns.width,
          [&](std::size_t j, auto lanes) HWY_ATTR { return GradientOf<kShifted>(columns, j, lanes); },
          [&](std::size_t i, const Gradient& factors, auto lanes) HWY_ATTR {
            const auto t = hn::Sub(ReadAhead(D(), piece.x + i, lanes), factors.affine.center);
            const auto g = Passed<decltype(constant)::value>(piece, factors.affine, t, i, lanes);
            const auto rest = hn::MulAdd(t, factors.slope, factors.rest);
            Write<decltype(stream)::value>(
                D(), hn::MulAdd(Shifted<kShifted>(g, factors.shift), factors.affine.scale, rest), piece.out + i, lanes);
          });
    });
  });
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {
namespace {

HWY_EXPORT(ColumnMoments);
HWY_EXPORT(ColumnProducts);
HWY_EXPORT(NormalizeColumns);
HWY_EXPORT(GradientColumns);

}  // namespace

void column_moments(Target target, const float* x, std::size_t size, std::size_t positions, const NormColumns& columns,
                    const NormSums& to) {
  TAPESTRY_CALL(target, ColumnMoments)(x, size, positions, columns, to);
}
void column_products(Target target, const NormPiece& piece, NormMask mask, const NormColumns& columns,
                     const NormSums& to) {
  TAPESTRY_CALL(target, ColumnProducts)(piece, mask, columns, to);
}
void normalize_columns(Target target, const NormPiece& piece, bool relu, const NormColumns& columns) {
  TAPESTRY_CALL(target, NormalizeColumns)(piece, relu, columns);
}
void gradient_columns(Target target, const NormPiece& piece, NormMask mask, const NormColumns& columns) {
  TAPESTRY_CALL(target, GradientColumns)(piece, mask, columns);
}

}  // namespace tapestry::kernels
#endif
