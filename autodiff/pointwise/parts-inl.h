// What the formulas of pointwise ops are written with, for T = float, double or xsimd::batch<float>. Everything has
// internal linkage: a file compiled for a newer CPU must not lend its code to the others.
#pragma once

#include <cmath>
#include <type_traits>
#include <xsimd/xsimd.hpp>

#include "autodiff/pointwise/pointwise.h"
#include "kernels/type_list.h"

namespace tapestry::pointwise {
namespace {

using std::abs, std::cos, std::erf, std::erfc, std::exp, std::expm1, std::log, std::log1p, std::sin, std::sqrt,
    std::tanh;

template <class T>
struct ScalarOf {
  using type = typename T::value_type;
};
template <>
struct ScalarOf<float> {
  using type = float;
};
template <>
struct ScalarOf<double> {
  using type = double;
};

template <class T>
T number(double value) {
  return T(static_cast<typename ScalarOf<T>::type>(value));
}
template <class T>
requires std::is_floating_point_v<T> T select(bool mask, T a, T b) { return mask ? a : b; }
template <class T>
T at_least(T x, double low) {
  return select(x < number<T>(low), number<T>(low), x);
}
template <class T>
T at_most(T x, double high) {
  return select(x > number<T>(high), number<T>(high), x);
}

// sigmoid(x) and sigmoid(-x), both to full precision.
template <class T>
struct SigmoidPair {
  T up, down;
  explicit SigmoidPair(T x) {
    const T one(1), e = exp(-abs(x)), r = one / (one + e);
    up = select(x < T(0), e * r, r);
    down = select(x < T(0), r, e * r);
  }
};

template <class T>
struct Pair {
  T a, b;
};

// What backward takes.
struct SavesInput {
  static constexpr bool saves_output(const Params&) { return false; }
};
struct SavesOutput {
  static constexpr bool saves_output(const Params&) { return true; }
};

}  // namespace
}  // namespace tapestry::pointwise
