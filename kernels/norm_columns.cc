#include "kernels/norm_columns.h"

#include <algorithm>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm_columns.cc"
#include "kernels/highway.h"
//
#include "kernels/lanes-inl.h"
#include "kernels/norm_mask-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

inline constexpr std::size_t kShortRows = 16;   // whose sums stay in registers
inline constexpr std::size_t kFloatRows = 256;  // whose sums stay in float

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

// Two sums of each column: add(i, j, lanes, sums) adds the terms of the elements at i, in the columns at j.
template <class Add>
HWY_INLINE void ColumnSums(std::size_t size, std::size_t width, const NormSums& to, const Add& add) {
  const D d;
  const std::size_t step = hn::Lanes(d), rows = size / width, cut = size % width;
  const auto panel = [&](std::size_t row, std::size_t count, std::size_t columns) HWY_ATTR {
    const auto keep = [&](V sum, std::size_t k, std::size_t j, auto lanes) HWY_ATTR {
      float* const partial = to.partial + k * width + j;
      store(hn::Add(load(d, partial, lanes), sum), d, partial, lanes);
    };
    std::size_t j = 0;
    for (; j + 4 * step <= columns; j += 4 * step) {
      V sums[4][2];
      for (auto& pair : sums) pair[0] = pair[1] = hn::Zero(d);
      for (std::size_t r = row; r < row + count; ++r)
        for (std::size_t u = 0; u < 4; ++u) add(r * width + j + u * step, j + u * step, AllLanes{}, sums[u]);
      for (std::size_t u = 0; u < 4; ++u)
        for (std::size_t k = 0; k < 2; ++k) keep(sums[u][k], k, j + u * step, AllLanes{});
    }
    for_lanes(d, columns - j, [&](std::size_t i, auto lanes) HWY_ATTR {
      V sums[2] = {hn::Zero(d), hn::Zero(d)};
      for (std::size_t r = row; r < row + count; ++r) add(r * width + j + i, j + i, lanes, sums);
      for (std::size_t k = 0; k < 2; ++k) keep(sums[k], k, j + i, lanes);
    });
  };
  std::fill(to.totals, to.totals + 2 * width, 0.0);
  std::size_t row = 0;
  do {
    std::fill(to.partial, to.partial + 2 * width, 0.0f);
    const std::size_t end = std::min(rows, row + kFloatRows);
    for (; row < end; row += std::min(kShortRows, end - row)) panel(row, std::min(kShortRows, end - row), width);
    if (row == rows && cut > 0) panel(row, 1, cut);
    for (std::size_t j = 0; j < 2 * width; ++j) to.totals[j] += static_cast<double>(to.partial[j]);
  } while (row < rows);
}

// Calls body(i, j, lanes) for all elements i, in columns j.
template <class Body>
HWY_INLINE void ForColumns(std::size_t size, std::size_t width, const Body& body) {
  for (std::size_t row = 0; row < size; row += width)
    for_lanes(D(), std::min(width, size - row), [&](std::size_t j, auto lanes) HWY_ATTR { body(row + j, j, lanes); });
}

void ColumnMoments(const float* HWY_RESTRICT x, std::size_t size, const NormColumns& columns, const NormSums& to) {
  const D d;
  ColumnSums(size, columns.width, to, [&](std::size_t i, std::size_t j, auto lanes, V* sums) HWY_ATTR {
    const auto t = hn::Sub(load(d, x + i, lanes), load(d, columns.center + j, lanes));
    sums[0] = hn::Add(sums[0], t);
    sums[1] = hn::MulAdd(t, t, sums[1]);
  });
}

// The norm itself. Forward and backward must find the same sign, so it is written once.
template <class Lanes>
HWY_INLINE V Scaled(const NormColumns& columns, V t, std::size_t j, Lanes lanes) {
  return hn::MulAdd(t, load(D(), columns.scale + j, lanes), load(D(), columns.offset + j, lanes));
}

template <NormMask kMask, class Lanes>
HWY_INLINE V Passed(const NormPiece& piece, const NormColumns& columns, V t, std::size_t i, std::size_t j,
                    Lanes lanes) {
  const D d;
  const V g = load(d, piece.dy + i, lanes);
  if constexpr (kMask == NormMask::none)
    return g;
  else if constexpr (kMask == NormMask::computed)
    return PositivePart(d, Scaled(columns, t, j, lanes), g);
  else
    return PositivePart(d, load(d, piece.y + i, lanes), g);
}

template <bool kShifted, class Lanes>
HWY_INLINE V Shifted(const NormColumns& columns, V g, std::size_t j, Lanes lanes) {
  if constexpr (kShifted) return hn::Sub(g, load(D(), columns.shift + j, lanes));
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
  ColumnSums(piece.size, columns.width, to, [&](std::size_t i, std::size_t j, auto lanes, V* sums) HWY_ATTR {
    const auto t = hn::Sub(load(d, piece.x + i, lanes), load(d, columns.center + j, lanes));
    const auto g = Passed<kMask>(piece, columns, t, i, j, lanes);
    sums[0] = hn::MulAdd(g, t, sums[0]);
    sums[1] = hn::Add(sums[1], Shifted<kShifted>(columns, g, j, lanes));
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
  ForColumns(piece.size, columns.width, [&](std::size_t i, std::size_t j, auto lanes) HWY_ATTR {
    auto v = Scaled(columns, hn::Sub(load(d, piece.x + i, lanes), load(d, columns.center + j, lanes)), j, lanes);
    if constexpr (kResidual) v = hn::Add(v, load(d, piece.residual + i, lanes));
    if constexpr (kRelu) v = PositivePart(d, v, v);
    store(v, d, piece.out + i, lanes);
  });
}

void NormalizeColumns(const NormPiece& piece, bool relu, const NormColumns& columns) {
  if (piece.residual == nullptr)
    return relu ? Normalize<true, false>(piece, columns) : Normalize<false, false>(piece, columns);
  return relu ? Normalize<true, true>(piece, columns) : Normalize<false, true>(piece, columns);
}

void GradientColumns(const NormPiece& piece, NormMask mask, const NormColumns& columns) {
  const D d;
  WithGradients(mask, columns, [&](auto constant, auto shift) HWY_ATTR {
    ForColumns(piece.size, columns.width, [&](std::size_t i, std::size_t j, auto lanes) HWY_ATTR {
      const auto t = hn::Sub(load(d, piece.x + i, lanes), load(d, columns.center + j, lanes));
      const auto g = Shifted<decltype(shift)::value>(
          columns, Passed<decltype(constant)::value>(piece, columns, t, i, j, lanes), j, lanes);
      const auto rest = hn::MulAdd(t, load(d, columns.slope + j, lanes), load(d, columns.rest + j, lanes));
      store(hn::MulAdd(g, load(d, columns.scale + j, lanes), rest), d, piece.out + i, lanes);
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

void column_moments(Target target, const float* x, std::size_t size, const NormColumns& columns, const NormSums& to) {
  TAPESTRY_CALL(target, ColumnMoments)(x, size, columns, to);
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
