#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/reference/broadcast_walk.h"

namespace tapestry::kernels {

// Two inputs, or three where c is named. NaN in any input that counts makes a NaN.
enum class ElementwiseOp {
  add,                 // a + b
  subtract,            // a - b
  multiply,            // a b
  divide,              // a / b
  minimum,             // the smaller, NaN if one is NaN
  maximum,             // the larger, NaN if one is NaN
  power,               // a^b as std::pow
  divide_denominator,  // c = dy: -dy (a / b) / b
  minimum_share,       // c = dy: dy where a < b, dy / 2 where a = b or one is NaN, else 0
  maximum_share,       // c = dy: dy where a > b, dy / 2 where a = b or one is NaN, else 0
  power_base,          // c = dy: dy b a^(b-1), 0 for b = 0
  power_exponent,      // c = dy: dy a^b log(a), 0 for a = 0 and b >= 0
  select,              // b where a is not 0, else c
  deviation,           // (a - b) c
  exp_difference,      // exp(a - b) c; 0 where c is 0 or a = -inf
  where_equal,         // c where a = b or both are NaN, else 0
};

enum class CompareOp { equal, not_equal, less, less_equal, greater, greater_equal };

namespace reference {

template <class T>
T elementwise_of(ElementwiseOp op, T a, T b, T c) {
  const bool unordered = std::isnan(a) || std::isnan(b);
  switch (op) {
    case ElementwiseOp::add:
      return a + b;
    case ElementwiseOp::subtract:
      return a - b;
    case ElementwiseOp::multiply:
      return a * b;
    case ElementwiseOp::divide:
      return a / b;
    case ElementwiseOp::minimum:
      return unordered ? a + b : b < a ? b : a;
    case ElementwiseOp::maximum:
      return unordered ? a + b : a < b ? b : a;
    case ElementwiseOp::power:
      return std::pow(a, b);
    case ElementwiseOp::divide_denominator:
      return -c * (a / b) / b;
    case ElementwiseOp::minimum_share:
      return a < b ? c : a == b || unordered ? c / 2 : T{};
    case ElementwiseOp::maximum_share:
      return a > b ? c : a == b || unordered ? c / 2 : T{};
    case ElementwiseOp::power_base:
      return b == 0 ? T{} : c * b * std::pow(a, b - 1);
    case ElementwiseOp::power_exponent:
      return a == 0 && b >= 0 ? T{} : c * std::pow(a, b) * std::log(a);
    case ElementwiseOp::select:
      return a != 0 ? b : c;
    case ElementwiseOp::deviation:
      return (a - b) * c;
    case ElementwiseOp::exp_difference:
      return c == 0 || (std::isinf(a) && a < 0) ? T{} : std::exp(a - b) * c;
    case ElementwiseOp::where_equal:
      return a == b || (std::isnan(a) && std::isnan(b)) ? c : T{};
  }
  return T{};
}

template <class T>
bool compare_of(CompareOp op, T a, T b) {
  switch (op) {
    case CompareOp::equal:
      return a == b;
    case CompareOp::not_equal:
      return a != b;
    case CompareOp::less:
      return a < b;
    case CompareOp::less_equal:
      return a <= b;
    case CompareOp::greater:
      return a > b;
    case CompareOp::greater_equal:
      return a >= b;
  }
  return false;
}

// See kernels/elementwise.h.
template <class T>
void elementwise(const BroadcastDims& dims, ElementwiseOp op, std::span<const T> a, std::span<const T> b,
                 std::span<const T> c, std::span<T> y) {
  walk_rows(dims, 0, dims.size, [&](std::size_t out, std::size_t count, const std::array<std::size_t, 3>& at) {
    const auto step = innermost_strides(dims);
    for (std::size_t i = 0; i < count; ++i)
      y[out + i] =
          elementwise_of(op, a[at[0] + i * step[0]], b[at[1] + i * step[1]], c.empty() ? T{} : c[at[2] + i * step[2]]);
  });
}

template <class T>
void compare(const BroadcastDims& dims, CompareOp op, std::span<const T> a, std::span<const T> b,
             std::span<std::int64_t> y, std::size_t begin, std::size_t end) {
  walk_rows(dims, begin, end, [&](std::size_t out, std::size_t count, const std::array<std::size_t, 3>& at) {
    const auto step = innermost_strides(dims);
    for (std::size_t i = 0; i < count; ++i)
      y[out + i] = compare_of(op, a[at[0] + i * step[0]], b[at[1] + i * step[1]]) ? 1 : 0;
  });
}

template <class T>
void accumulate(std::span<const T> x, std::span<T> y) {
  for (std::size_t i = 0; i < y.size(); ++i) y[i] += x[i];
}

}  // namespace reference
}  // namespace tapestry::kernels
