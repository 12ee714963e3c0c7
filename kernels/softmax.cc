#include "kernels/softmax.h"

#include <algorithm>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/softmax.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/simd/exp-inl.h"
#include "kernels/simd/lanes-inl.h"
#include "kernels/simd/sums-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

void ForwardRow(const float* HWY_RESTRICT x, float* HWY_RESTRICT y, std::size_t n, bool log) {
  const hn::ScalableTag<float> d;
  const auto top = hn::Set(d, Highest(d, x, n));
  const double sum = SumTerms(d, n, [&](std::size_t i, auto lanes) HWY_ATTR {
    const auto e = ExpOrNaN(d, hn::Sub(load(d, x + i, lanes), top));
    if (!log) store(e, d, y + i, lanes);
    return e;
  });
  if (log) {
    const auto shift = hn::Set(d, static_cast<float>(std::log(sum)));
    for_lanes(d, n, [&](std::size_t i, auto lanes) HWY_ATTR {
      store(hn::Sub(hn::Sub(load(d, x + i, lanes), top), shift), d, y + i, lanes);
    });
  } else {
    const auto scale = hn::Set(d, static_cast<float>(1 / sum));
    for_lanes(d, n, [&](std::size_t i, auto lanes) HWY_ATTR {
      store(hn::Mul(load(d, y + i, lanes), scale), d, y + i, lanes);
    });
  }
}

void ForwardRows(const float* x, float* y, std::size_t rows, std::size_t n, bool log) {
  for (std::size_t i = 0; i < rows; ++i) ForwardRow(x + i * n, y + i * n, n, log);
}

void BackwardRows(const float* HWY_RESTRICT y, const float* HWY_RESTRICT dy, float* HWY_RESTRICT dx, std::size_t rows,
                  std::size_t n, bool log) {
  const hn::ScalableTag<float> d;
  for (std::size_t row = 0; row < rows; ++row, y += n, dy += n, dx += n) {
    const double total = SumTerms(d, n, [&](std::size_t i, auto lanes) HWY_ATTR {
      const auto g = load(d, dy + i, lanes);
      return log ? g : hn::Mul(g, load(d, y + i, lanes));
    });
    const auto sum = hn::Set(d, static_cast<float>(total));
    for_lanes(d, n, [&](std::size_t i, auto lanes) HWY_ATTR {
      const auto g = load(d, dy + i, lanes), v = load(d, y + i, lanes);
      store(log ? hn::NegMulAdd(ExpOrNaN(d, v), sum, g) : hn::Mul(v, hn::Sub(g, sum)), d, dx + i, lanes);
    });
  }
}

// The sum of term(k) over [0, n) in each lane, on two levels, so that rounding grows with the root of n.
template <class D, class Term>
HWY_INLINE hn::Vec<D> SumDown(D d, std::size_t n, const Term& term) {
  constexpr std::size_t kLevel = 32;
  auto total = hn::Zero(d);
  for (std::size_t begin = 0; begin < n; begin += kLevel) {
    auto sum = hn::Zero(d);
    for (std::size_t k = begin; k < std::min(begin + kLevel, n); ++k) sum = hn::Add(sum, term(k));
    total = hn::Add(total, sum);
  }
  return total;
}

// `columns` lines beside each other, whose elements lie `stride` apart.
void ForwardColumns(const float* HWY_RESTRICT x, float* HWY_RESTRICT y, std::size_t n, std::size_t stride,
                    std::size_t columns, bool log) {
  const hn::ScalableTag<float> d;
  for_lanes(d, columns, [&](std::size_t i, auto lanes) HWY_ATTR {
    auto top = hn::Set(d, -std::numeric_limits<float>::infinity());
    for (std::size_t k = 0; k < n; ++k) top = hn::Max(top, load(d, x + k * stride + i, lanes));
    const auto sum = SumDown(d, n, [&](std::size_t k) HWY_ATTR {
      const auto e = ExpOrNaN(d, hn::Sub(load(d, x + k * stride + i, lanes), top));
      if (!log) store(e, d, y + k * stride + i, lanes);
      return e;
    });
    if (log) {
      const auto shift = hn::IfThenElse(hn::Eq(sum, sum), hn::Log(d, sum), sum);
      for (std::size_t k = 0; k < n; ++k)
        store(hn::Sub(hn::Sub(load(d, x + k * stride + i, lanes), top), shift), d, y + k * stride + i, lanes);
    } else {
      for (std::size_t k = 0; k < n; ++k)
        store(hn::Div(load(d, y + k * stride + i, lanes), sum), d, y + k * stride + i, lanes);
    }
  });
}

void BackwardColumns(const float* HWY_RESTRICT y, const float* HWY_RESTRICT dy, float* HWY_RESTRICT dx, std::size_t n,
                     std::size_t stride, std::size_t columns, bool log) {
  const hn::ScalableTag<float> d;
  for_lanes(d, columns, [&](std::size_t i, auto lanes) HWY_ATTR {
    const auto sum = SumDown(d, n, [&](std::size_t k) HWY_ATTR {
      const auto g = load(d, dy + k * stride + i, lanes);
      return log ? g : hn::Mul(g, load(d, y + k * stride + i, lanes));
    });
    for (std::size_t k = 0; k < n; ++k) {
      const auto g = load(d, dy + k * stride + i, lanes), v = load(d, y + k * stride + i, lanes);
      store(log ? hn::NegMulAdd(ExpOrNaN(d, v), sum, g) : hn::Mul(v, hn::Sub(g, sum)), d, dx + k * stride + i, lanes);
    }
  });
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {
namespace {

HWY_EXPORT(ForwardRows);
HWY_EXPORT(BackwardRows);
HWY_EXPORT(ForwardColumns);
HWY_EXPORT(BackwardColumns);

constexpr std::size_t kColumns = 64;  // lines beside each other that are one piece of work

// Calls body(offset, columns) for pieces of up to kColumns neighbouring lines.
template <class Body>
void for_columns(const Device& device, const SoftmaxDims& dims, const Body& body) {
  const std::size_t pieces = (dims.inner + kColumns - 1) / kColumns;
  const std::size_t grain = std::max<std::size_t>(1, kGrain / (dims.size * std::min(kColumns, dims.inner)));
  parallel_for(device.pool, dims.outer * pieces, grain, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const std::size_t column = i % pieces * kColumns;
      body(i / pieces * dims.size * dims.inner + column, std::min(kColumns, dims.inner - column));
    }
  });
}

}  // namespace

void softmax_forward(const Device& device, const SoftmaxDims& dims, std::span<const float> x, std::span<float> y) {
  if (y.empty()) return;
  const std::size_t n = dims.size;
  if (dims.inner == 1)
    return parallel_for(device.pool, dims.outer, std::max<std::size_t>(1, kGrain / n),
                        [&](std::size_t begin, std::size_t end) {
                          TAPESTRY_CALL(device.target, ForwardRows)
                          (x.data() + begin * n, y.data() + begin * n, end - begin, n, dims.log);
                        });
  for_columns(device, dims, [&](std::size_t offset, std::size_t columns) {
    TAPESTRY_CALL(device.target, ForwardColumns)
    (x.data() + offset, y.data() + offset, n, dims.inner, columns, dims.log);
  });
}

void softmax_backward(const Device& device, const SoftmaxDims& dims, std::span<const float> y,
                      std::span<const float> dy, std::span<float> dx) {
  if (dx.empty()) return;
  const std::size_t n = dims.size;
  if (dims.inner == 1)
    return parallel_for(device.pool, dims.outer, std::max<std::size_t>(1, kGrain / n),
                        [&](std::size_t begin, std::size_t end) {
                          const std::size_t at = begin * n;
                          TAPESTRY_CALL(device.target, BackwardRows)
                          (y.data() + at, dy.data() + at, dx.data() + at, end - begin, n, dims.log);
                        });
  for_columns(device, dims, [&](std::size_t offset, std::size_t columns) {
    TAPESTRY_CALL(device.target, BackwardColumns)
    (y.data() + offset, dy.data() + offset, dx.data() + offset, n, dims.inner, columns, dims.log);
  });
}

}  // namespace tapestry::kernels
#endif
