#include "kernels/reduce.h"

#include <atomic>
#include <functional>

#include "kernels/runtime/reduce_tasks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/reduce.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/simd/exp-inl.h"
#include "kernels/simd/lanes-inl.h"
#include "kernels/simd/wide-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

// x - x is 0 for finite numbers and NaN for all others.
bool AllFinite(const float* x, std::size_t size) {
  const hn::ScalableTag<float> d;
  auto sum = hn::Zero(d);
  for_lanes(d, size, [&](std::size_t i, auto lanes) HWY_ATTR {
    const auto v = load(d, x + i, lanes);
    sum = hn::Add(sum, hn::Sub(v, v));
  });
  return hn::GetLane(hn::SumOfLanes(d, sum)) == 0;
}

using V = hn::Vec<Doubles>;

template <class F>
HWY_INLINE double RowSum(const F& f, const float* x, std::size_t size, double center) {
  const Doubles d;
  const std::size_t step = hn::Lanes(d);
  const V c = hn::Set(d, center);
  V s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
  std::size_t i = 0;
  for (; i + 4 * step <= size; i += 4 * step) {
    s0 = hn::Add(s0, f(Widened(x + i, AllLanes()), c));
    s1 = hn::Add(s1, f(Widened(x + i + step, AllLanes()), c));
    s2 = hn::Add(s2, f(Widened(x + i + 2 * step, AllLanes()), c));
    s3 = hn::Add(s3, f(Widened(x + i + 3 * step, AllLanes()), c));
  }
  for_lanes(d, size - i, [&](std::size_t k, auto lanes) HWY_ATTR {
    s0 = hn::Add(s0, only(d, f(Widened(x + i + k, lanes), c), hn::Zero(d), lanes));
  });
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(s0, s1), hn::Add(s2, s3))));
}

// sums[j] = the sum over `rows` of f(x[row * stride + j]): four vectors of columns at a time.
template <class F>
HWY_INLINE void ColumnSums(const F& f, const float* x, std::size_t stride, std::size_t rows, std::size_t columns,
                           const double* center, double* sums) {
  const Doubles d;
  const std::size_t step = hn::Lanes(d);
  const auto center_at = [&](std::size_t j, auto lanes)
                             HWY_ATTR { return center == nullptr ? hn::Zero(d) : load(d, center + j, lanes); };
  std::size_t j = 0;
  for (; j + 4 * step <= columns; j += 4 * step) {
    const V c0 = center_at(j, AllLanes()), c1 = center_at(j + step, AllLanes()),
            c2 = center_at(j + 2 * step, AllLanes()), c3 = center_at(j + 3 * step, AllLanes());
    V s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
    for (std::size_t i = 0; i < rows; ++i) {
      const float* row = x + i * stride + j;
      s0 = hn::Add(s0, f(Widened(row, AllLanes()), c0));
      s1 = hn::Add(s1, f(Widened(row + step, AllLanes()), c1));
      s2 = hn::Add(s2, f(Widened(row + 2 * step, AllLanes()), c2));
      s3 = hn::Add(s3, f(Widened(row + 3 * step, AllLanes()), c3));
    }
    hn::StoreU(s0, d, sums + j);
    hn::StoreU(s1, d, sums + j + step);
    hn::StoreU(s2, d, sums + j + 2 * step);
    hn::StoreU(s3, d, sums + j + 3 * step);
  }
  for_lanes(d, columns - j, [&](std::size_t k, auto lanes) HWY_ATTR {
    const V c = center_at(j + k, lanes);
    V even = hn::Zero(d), odd = even;
    std::size_t i = 0;
    for (; i + 2 <= rows; i += 2) {
      even = hn::Add(even, f(Widened(x + i * stride + j + k, lanes), c));
      odd = hn::Add(odd, f(Widened(x + (i + 1) * stride + j + k, lanes), c));
    }
    if (i < rows) even = hn::Add(even, f(Widened(x + i * stride + j + k, lanes), c));
    store(hn::Add(even, odd), d, sums + j + k, lanes);
  });
}

// Calls body with the vector form of `term`.
template <class Body>
HWY_INLINE void WithTerm(Term term, const Body& body) {
  switch (term) {
    case Term::value:
      return body([](V x, V) HWY_ATTR { return x; });
    case Term::square:
      return body([](V x, V c) HWY_ATTR {
        const V difference = hn::Sub(x, c);
        return hn::Mul(difference, difference);
      });
    case Term::exp:
      return body([](V x, V c) HWY_ATTR { return ExpOrNaN(Doubles(), hn::Sub(x, c)); });
    case Term::equal:
      return body([](V x, V c) HWY_ATTR {
        const auto same = hn::Or(hn::Eq(x, c), hn::And(hn::IsNaN(x), hn::IsNaN(c)));
        return hn::IfThenElseZero(same, hn::Set(Doubles(), 1.0));
      });
  }
}

void RowSumsOf(Term term, const float* x, std::size_t rows, std::size_t size, const double* center, double* sums) {
  WithTerm(term, [&](const auto& f) HWY_ATTR {
    for (std::size_t i = 0; i < rows; ++i) sums[i] = RowSum(f, x + i * size, size, center == nullptr ? 0 : center[i]);
  });
}

void ColumnSumsOf(Term term, const float* x, std::size_t stride, std::size_t rows, std::size_t columns,
                  const double* center, double* sums) {
  WithTerm(term, [&](const auto& f) HWY_ATTR { ColumnSums(f, x, stride, rows, columns, center, sums); });
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {

HWY_EXPORT(AllFinite);
HWY_EXPORT(RowSumsOf);
HWY_EXPORT(ColumnSumsOf);

bool all_finite(const Device& device, std::span<const float> x) {
  std::atomic<bool> finite = true;
  parallel_for(device.pool, x.size(), kGrain, [&](std::size_t begin, std::size_t end) {
    if (!TAPESTRY_CALL(device.target, AllFinite)(x.data() + begin, end - begin)) finite = false;
  });
  return finite;
}

void reduce(const Device& device, const ReduceDims& dims, Term term, std::span<const float> x,
            std::span<const double> center, std::span<double> sums) {
  const auto center_at = [&](std::size_t at) { return center.empty() ? nullptr : center.data() + at; };
  if (dims.inner == 1) {
    const auto row_sums = TAPESTRY_CALL(device.target, RowSumsOf);
    return reduce_rows(
        device, dims, sums,
        [&](std::size_t first, std::size_t count, std::size_t begin, std::size_t size, double* out) {
          row_sums(term, x.data() + first * dims.size + begin, count, size, center_at(first), out);
        },
        std::plus<double>());
  }
  const auto column_sums = TAPESTRY_CALL(device.target, ColumnSumsOf);
  reduce_columns(
      device, dims, sums,
      [&](std::size_t i, std::size_t row, std::size_t rows, std::size_t column, std::size_t count, double* out) {
        column_sums(term, x.data() + (i * dims.size + row) * dims.inner + column, dims.inner, rows, count,
                    center_at(i * dims.inner + column), out);
      },
      std::plus<double>());
}

void sum_rows(const Device& device, std::size_t m, std::size_t n, std::span<const float> x, std::span<float> out,
              bool accumulate) {
  const Block block = device.arena.allocate(n * sizeof(double));
  const std::span<double> sums(reinterpret_cast<double*>(block.data()), n);
  reduce(device, {.size = m, .inner = n}, Term::value, x, {}, sums);
  for (std::size_t j = 0; j < n; ++j) out[j] = static_cast<float>(accumulate ? sums[j] + out[j] : sums[j]);
}

}  // namespace tapestry::kernels
#endif
