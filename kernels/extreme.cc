#include "kernels/extreme.h"

#include <algorithm>
#include <limits>

#include "kernels/runtime/reduce_tasks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/extreme.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/simd/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

using Floats = hn::ScalableTag<float>;
using V = hn::Vec<Floats>;

// The larger, or a NaN once there was one. The smallest is found as the largest of -x.
HWY_INLINE V Larger(V best, V x) { return hn::IfThenElse(hn::Or(hn::Lt(best, x), hn::IsNaN(x)), x, best); }

void LargestOfRows(const float* x, std::size_t rows, std::size_t stride, std::size_t size, float sign, float* y) {
  const Floats d;
  const std::size_t step = hn::Lanes(d);
  const V lowest = hn::Set(d, -std::numeric_limits<float>::infinity()), s = hn::Set(d, sign);
  HWY_ALIGN float lanes_of[HWY_MAX_BYTES / sizeof(float)];
  for (std::size_t row = 0; row < rows; ++row, x += stride) {
    V b0 = lowest, b1 = lowest;
    std::size_t i = 0;
    for (; i + 2 * step <= size; i += 2 * step) {
      b0 = Larger(b0, hn::Mul(s, hn::LoadU(d, x + i)));
      b1 = Larger(b1, hn::Mul(s, hn::LoadU(d, x + i + step)));
    }
    for_lanes(d, size - i, [&](std::size_t k, auto lanes) HWY_ATTR {
      b0 = Larger(b0, only(d, hn::Mul(s, load(d, x + i + k, lanes)), lowest, lanes));
    });
    hn::Store(Larger(b0, b1), d, lanes_of);
    float best = lanes_of[0];
    for (std::size_t k = 1; k < step; ++k)
      if (reference::beats(Extreme::largest, lanes_of[k], best)) best = lanes_of[k];
    y[row] = sign * best;
  }
}

// Row by row, so that x is read in order; y has the best so far.
void LargestOfColumns(const float* x, std::size_t stride, std::size_t rows, std::size_t columns, float sign, float* y) {
  const Floats d;
  const V s = hn::Set(d, sign);
  std::copy(x, x + columns, y);
  for (std::size_t row = 1; row < rows; ++row)
    for_lanes(d, columns, [&](std::size_t j, auto lanes) HWY_ATTR {
      const V best = Larger(hn::Mul(s, load(d, y + j, lanes)), hn::Mul(s, load(d, x + row * stride + j, lanes)));
      store(hn::Mul(s, best), d, y + j, lanes);
    });
}

// The index of the first of `size` elements that is `best`, or NaN as `best` is; -1 for none.
std::int64_t FirstEqual(const float* x, std::size_t size, float best) {
  const Floats d;
  const V wanted = hn::Set(d, best);
  const bool nan = best != best;
  const std::size_t step = hn::Lanes(d);
  std::size_t i = 0;
  const auto found = [&](V v) HWY_ATTR { return !hn::AllFalse(d, nan ? hn::IsNaN(v) : hn::Eq(v, wanted)); };
  while (i + step <= size && !found(hn::LoadU(d, x + i))) i += step;
  for (; i < size; ++i)
    if (x[i] == best || (nan && x[i] != x[i])) return static_cast<std::int64_t>(i);
  return -1;
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {

HWY_EXPORT(LargestOfRows);
HWY_EXPORT(LargestOfColumns);
HWY_EXPORT(FirstEqual);

void extremes(const Device& device, const ReduceDims& dims, Extreme which, std::span<const float> x,
              std::span<float> y) {
  const float sign = which == Extreme::largest ? 1.0f : -1.0f;
  const auto fold = [&](float best, float other) { return reference::beats(which, other, best) ? other : best; };
  if (dims.inner == 1) {
    const auto of_rows = TAPESTRY_CALL(device.target, LargestOfRows);
    return reduce_rows(
        device, dims, y,
        [&](std::size_t first, std::size_t count, std::size_t begin, std::size_t size, float* out) {
          of_rows(x.data() + first * dims.size + begin, count, dims.size, size, sign, out);
        },
        fold);
  }
  const auto of_columns = TAPESTRY_CALL(device.target, LargestOfColumns);
  reduce_columns(
      device, dims, y,
      [&](std::size_t i, std::size_t row, std::size_t rows, std::size_t column, std::size_t count, float* out) {
        of_columns(x.data() + (i * dims.size + row) * dims.inner + column, dims.inner, rows, count, sign, out);
      },
      fold);
}

void arg_extremes(const Device& device, const ReduceDims& dims, Extreme which, std::span<const float> x,
                  std::span<std::int64_t> y) {
  const Block block = device.arena.allocate(y.size() * sizeof(float));
  const std::span<float> best(reinterpret_cast<float*>(block.data()), y.size());
  extremes(device, dims, which, x, best);
  const auto fold = [](std::int64_t first, std::int64_t other) { return first >= 0 ? first : other; };
  if (dims.inner == 1) {
    const auto first_equal = TAPESTRY_CALL(device.target, FirstEqual);
    return reduce_rows(
        device, dims, y,
        [&](std::size_t first, std::size_t count, std::size_t begin, std::size_t size, std::int64_t* out) {
          for (std::size_t i = 0; i < count; ++i) {
            const std::int64_t at = first_equal(x.data() + (first + i) * dims.size + begin, size, best[first + i]);
            out[i] = at < 0 ? at : at + static_cast<std::int64_t>(begin);
          }
        },
        fold);
  }
  reduce_columns(
      device, dims, y,
      [&](std::size_t i, std::size_t row, std::size_t rows, std::size_t column, std::size_t count, std::int64_t* out) {
        std::fill(out, out + count, -1);
        for (std::size_t k = row; k < row + rows; ++k) {
          const float* from = x.data() + (i * dims.size + k) * dims.inner + column;
          const float* wanted = best.data() + i * dims.inner + column;
          for (std::size_t j = 0; j < count; ++j)
            if (out[j] < 0 && (from[j] == wanted[j] || (from[j] != from[j] && wanted[j] != wanted[j])))
              out[j] = static_cast<std::int64_t>(k);
        }
      },
      fold);
}

}  // namespace tapestry::kernels
#endif
