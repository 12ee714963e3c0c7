// The formulas of the activations, for T = float, double or xsimd::batch<float>. Everything has internal linkage: a
// file compiled for a newer CPU must not lend its code to the others.
//
// value(x, params) is y; slope_times(dy, saved, params) is dx, where `saved` is y if kSavesOutput, else x.
// Comparisons are written so that NaN falls through to arithmetic that keeps it. Where a factor vanishes long before
// x ends, x is limited first, for 0 times infinity is NaN.
#pragma once

#include <cmath>
#include <type_traits>
#include <xsimd/xsimd.hpp>

#include "autodiff/pointwise/pointwise.h"

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

struct SavesInput {
  static constexpr bool kSavesOutput = false;
};
struct SavesOutput {
  static constexpr bool kSavesOutput = true;
};

struct Relu : SavesOutput {
  template <class T>
  static T value(T x, Pair<T>) {
    return select(x <= T(0), T(0), x);
  }
  template <class T>
  static T slope_times(T dy, T y, Pair<T>) {
    return select(y <= T(0), T(0), dy);
  }
};

// Either x or, for a slope of 0 or more, y may be saved: both have the same sign.
struct LeakyRelu : SavesInput {
  template <class T>
  static T value(T x, Pair<T> p) {
    return select(x > T(0), x, p.a * x);
  }
  template <class T>
  static T slope_times(T dy, T x, Pair<T> p) {
    return select(x > T(0), dy, p.a * dy);
  }
};

struct Prelu {
  template <class T>
  static T value(T x, T weight) {
    return select(x > T(0), x, weight * x);
  }
  template <class T>
  static T slope_times(T dy, T x, T weight) {
    return select(x > T(0), dy, weight * dy);
  }
  template <class T>
  static T weight_slope_times(T dy, T x) {
    return select(x > T(0), T(0), x * dy);
  }
};

struct Elu : SavesInput {
  template <class T>
  static T value(T x, Pair<T> p) {
    return p.b * select(x > T(0), x, p.a * expm1(x));
  }
  template <class T>
  static T slope_times(T dy, T x, Pair<T> p) {
    return p.b * dy * select(x > T(0), T(1), p.a * exp(x));
  }
};

// x Phi(x), Phi(x) = erfc(-x / sqrt 2) / 2, which keeps its digits where x < 0.
struct Gelu : SavesInput {
  template <class T>
  static T phi(T x) {
    return number<T>(0.5) * erfc(x * number<T>(-0.70710678118654752440));
  }
  template <class T>
  static T value(T x, Pair<T>) {
    const T limited = at_least(x, -40);
    return limited * phi(limited);
  }
  template <class T>
  static T slope_times(T dy, T x, Pair<T>) {
    const T limited = at_most(at_least(x, -40), 40);
    const T density = number<T>(0.39894228040143267794) * exp(number<T>(-0.5) * limited * limited);
    return dy * (phi(limited) + limited * density);
  }
};

// x (1 + tanh u) / 2 = x sigmoid(2u), u = sqrt(2 / pi) (x + 0.044715 x^3).
struct GeluTanh : SavesInput {
  static constexpr double kTwice = 1.59576912160573071176, kCubic = 0.044715;
  template <class T>
  static T twice_u(T x) {
    return number<T>(kTwice) * x * (T(1) + number<T>(kCubic) * x * x);
  }
  template <class T>
  static T value(T x, Pair<T>) {
    const T limited = at_least(x, -30);
    return limited / (T(1) + exp(-twice_u(limited)));
  }
  template <class T>
  static T slope_times(T dy, T x, Pair<T>) {
    const T limited = at_most(at_least(x, -30), 30);
    const SigmoidPair<T> s(twice_u(limited));
    const T du = number<T>(kTwice) * (T(1) + number<T>(3 * kCubic) * limited * limited);
    return dy * (s.up + limited * s.up * s.down * du);
  }
};

struct Silu : SavesInput {
  template <class T>
  static T value(T x, Pair<T>) {
    const T limited = at_least(x, -1000);
    return limited / (T(1) + exp(-limited));
  }
  template <class T>
  static T slope_times(T dy, T x, Pair<T>) {
    const T limited = at_most(at_least(x, -1000), 1000);
    const SigmoidPair<T> s(limited);
    return dy * (s.up + limited * s.up * s.down);
  }
};

// x tanh(softplus(x)) = x n / (n + 2), n = e (e + 2), e = exp(x); from 40 on the quotient is 1.
struct Mish : SavesInput {
  template <class T>
  static T value(T x, Pair<T>) {
    const T low = at_least(x, -1000), e = exp(at_most(low, 40)), n = e * (e + T(2));
    return low * (n / (n + T(2)));
  }
  template <class T>
  static T slope_times(T dy, T x, Pair<T>) {
    const T limited = at_most(at_least(x, -1000), 40), e = exp(limited), n = e * (e + T(2)), r = T(1) / (n + T(2));
    return dy * (n / (n + T(2)) + limited * (T(4) * e * r) * ((T(1) + e) * r));
  }
};

struct Softplus : SavesInput {
  template <class T>
  static T value(T x, Pair<T> p) {
    const T z = p.a * x;
    return select(z > p.b, x, (select(z > T(0), z, T(0)) + log1p(exp(-abs(z)))) / p.a);
  }
  template <class T>
  static T slope_times(T dy, T x, Pair<T> p) {
    const T z = p.a * x;
    return select(z > p.b, dy, dy / (T(1) + exp(-z)));
  }
};

struct Sigmoid : SavesOutput {
  template <class T>
  static T value(T x, Pair<T>) {
    return T(1) / (T(1) + exp(-x));
  }
  template <class T>
  static T slope_times(T dy, T y, Pair<T>) {
    return dy * y * (T(1) - y);
  }
};

struct Tanh : SavesOutput {
  template <class T>
  static T value(T x, Pair<T>) {
    return tanh(x);
  }
  template <class T>
  static T slope_times(T dy, T y, Pair<T>) {
    return dy * ((T(1) - y) * (T(1) + y));
  }
};

struct Hardswish : SavesInput {
  template <class T>
  static T value(T x, Pair<T>) {
    const T middle = x * (x + T(3)) / T(6);
    return select(x <= T(-3), T(0), select(x >= T(3), x, middle));
  }
  template <class T>
  static T slope_times(T dy, T x, Pair<T>) {
    const T middle = dy * (x / T(3) + number<T>(0.5));
    return select(x <= T(-3), T(0), select(x >= T(3), dy, middle));
  }
};

struct Hardsigmoid : SavesInput {
  template <class T>
  static T value(T x, Pair<T>) {
    return select(x <= T(-3), T(0), select(x >= T(3), T(1), (x + T(3)) / T(6)));
  }
  template <class T>
  static T slope_times(T dy, T x, Pair<T>) {
    return select(x > T(-3), select(x < T(3), dy / T(6), T(0)), T(0));
  }
};

}  // namespace
}  // namespace tapestry::pointwise
