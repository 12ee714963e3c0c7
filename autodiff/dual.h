// Dual numbers: a value and its slope, carried through arithmetic by the chain rule. T is float, double or a batch.
#pragma once

#include "autodiff/lane_math.h"

namespace tapestry {

template <class T>
struct Dual {
  using Mask = decltype(T() < T());

  T value, slope;

  constexpr Dual() : value(0), slope(0) {}
  constexpr Dual(const T& value, const T& slope) : value(value), slope(slope) {}
  constexpr Dual(const T& value) : value(value), slope(0) {}  // NOLINT: implicit
  template <detail::Number N>
  requires(!std::same_as<N, T>) constexpr Dual(N number)
      : value(static_cast<Scalar>(number)), slope(0) {}  // NOLINT: implicit

  friend Dual operator+(const Dual& a, const Dual& b) { return {a.value + b.value, a.slope + b.slope}; }
  friend Dual operator-(const Dual& a, const Dual& b) { return {a.value - b.value, a.slope - b.slope}; }
  friend Dual operator*(const Dual& a, const Dual& b) {
    return {a.value * b.value, a.slope * b.value + a.value * b.slope};
  }
  friend Dual operator/(const Dual& a, const Dual& b) {
    const T ratio = a.value / b.value;
    return {ratio, (a.slope - ratio * b.slope) / b.value};
  }
  friend Dual operator-(const Dual& a) { return {-a.value, -a.slope}; }
  friend Dual operator+(const Dual& a) { return a; }
  Dual& operator+=(const Dual& b) { return *this = *this + b; }
  Dual& operator-=(const Dual& b) { return *this = *this - b; }
  Dual& operator*=(const Dual& b) { return *this = *this * b; }
  Dual& operator/=(const Dual& b) { return *this = *this / b; }

  friend Mask operator<(const Dual& a, const Dual& b) { return a.value < b.value; }
  friend Mask operator<=(const Dual& a, const Dual& b) { return a.value <= b.value; }
  friend Mask operator>(const Dual& a, const Dual& b) { return a.value > b.value; }
  friend Mask operator>=(const Dual& a, const Dual& b) { return a.value >= b.value; }
  friend Mask operator==(const Dual& a, const Dual& b) { return a.value == b.value; }
  friend Mask operator!=(const Dual& a, const Dual& b) { return a.value != b.value; }

  // The slope of the side that was taken; of b where both are equal.
  friend Dual select(const Mask& mask, const Dual& a, const Dual& b) {
    return {pick(mask, a.value, b.value), pick(mask, a.slope, b.slope)};
  }
  friend Dual max(const Dual& a, const Dual& b) { return select(a > b, a, b); }
  friend Dual min(const Dual& a, const Dual& b) { return select(a < b, a, b); }
  // The slope at 0 is 0.
  friend Dual abs(const Dual& a) {
    const Dual down = select(a < Dual(), -a, Dual(a.value));
    return select(a > Dual(), a, down);
  }

  friend Dual exp(const Dual& a) {
    return chain(a, exp(a.value), [](const T&, const T& y) { return y; });
  }
  friend Dual exp2(const Dual& a) {
    return chain(a, exp2(a.value), [](const T&, const T& y) { return y * T(kLn2); });
  }
  friend Dual expm1(const Dual& a) {
    return chain(a, expm1(a.value), [](const T& x, const T&) { return exp(x); });
  }
  friend Dual log(const Dual& a) { return {log(a.value), a.slope / a.value}; }
  friend Dual log2(const Dual& a) { return {log2(a.value), a.slope / (a.value * T(kLn2))}; }
  friend Dual log10(const Dual& a) { return {log10(a.value), a.slope / (a.value * T(kLn10))}; }
  friend Dual log1p(const Dual& a) { return {log1p(a.value), a.slope / (T(1) + a.value)}; }
  friend Dual sqrt(const Dual& a) {
    return chain(a, sqrt(a.value), [](const T&, const T& y) { return T(0.5f) / y; });
  }
  friend Dual cbrt(const Dual& a) {
    return chain(a, cbrt(a.value), [](const T&, const T& y) { return T(1) / (T(3) * y * y); });
  }
  friend Dual sin(const Dual& a) {
    return chain(a, sin(a.value), [](const T& x, const T&) { return cos(x); });
  }
  friend Dual cos(const Dual& a) {
    return chain(a, cos(a.value), [](const T& x, const T&) { return -sin(x); });
  }
  friend Dual tan(const Dual& a) {
    return chain(a, tan(a.value), [](const T&, const T& y) { return T(1) + y * y; });
  }
  friend Dual asin(const Dual& a) {
    return chain(a, asin(a.value), [](const T& x, const T&) { return T(1) / sqrt((T(1) - x) * (T(1) + x)); });
  }
  friend Dual acos(const Dual& a) {
    return chain(a, acos(a.value), [](const T& x, const T&) { return T(-1) / sqrt((T(1) - x) * (T(1) + x)); });
  }
  friend Dual atan(const Dual& a) { return {atan(a.value), a.slope / (T(1) + a.value * a.value)}; }
  friend Dual sinh(const Dual& a) {
    return chain(a, sinh(a.value), [](const T& x, const T&) { return cosh(x); });
  }
  friend Dual cosh(const Dual& a) {
    return chain(a, cosh(a.value), [](const T& x, const T&) { return sinh(x); });
  }
  friend Dual tanh(const Dual& a) {
    return chain(a, tanh(a.value), [](const T&, const T& y) { return (T(1) - y) * (T(1) + y); });
  }
  friend Dual erf(const Dual& a) {
    return chain(a, erf(a.value), [](const T& x, const T&) { return T(kTwoBySqrtPi) * exp(-x * x); });
  }
  friend Dual erfc(const Dual& a) {
    return chain(a, erfc(a.value), [](const T& x, const T&) { return T(-kTwoBySqrtPi) * exp(-x * x); });
  }
  // A constant exponent works for every x; one with a slope needs x > 0.
  friend Dual pow(const Dual& a, const Dual& b) {
    const T zero(0), y = pow(a.value, b.value);
    const T base = pick(b.value == zero, zero, b.value * pow(a.value, b.value - T(1)) * a.slope);
    return {y, base + pick(b.slope == zero, zero, y * log(a.value) * b.slope)};
  }

 private:
  template <class U>
  static auto scalar_of(const U&) {
    if constexpr (std::floating_point<U>)
      return U();
    else
      return typename U::value_type();
  }
  using Scalar = decltype(scalar_of(std::declval<T>()));
  static constexpr Scalar kLn2 = static_cast<Scalar>(0.69314718055994530942);
  static constexpr Scalar kLn10 = static_cast<Scalar>(2.30258509299404568402);
  static constexpr Scalar kTwoBySqrtPi = static_cast<Scalar>(1.12837916709551257390);

  static T pick(const Mask& mask, const T& a, const T& b) { return select(mask, a, b); }
  template <class Slope>
  static Dual chain(const Dual& a, const T& y, const Slope& slope) {
    return {y, a.slope * slope(a.value, y)};
  }
};

}  // namespace tapestry
