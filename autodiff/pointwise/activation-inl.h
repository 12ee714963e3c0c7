// The formulas of the activations. value(x, options) is y; slope_times(dy, saved, options) is dx, where `saved` is y if
// saves_output(options), else x.
// Comparisons of value() are written so that NaN falls through to arithmetic that keeps it; slopes at NaN are
// PyTorch's. Where a factor vanishes long before x ends, x is limited first, for 0 times infinity is NaN.
#pragma once

#include "autodiff/pointwise/parts-inl.h"

namespace tapestry::pointwise {
namespace {

struct Relu : SavesOutput {
  static constexpr Signature kSignature{"relu"};
  template <class T>
  static T value(T x, Pair<T>) {
    return select(x <= T(0), T(0), x);
  }
  template <class T>
  static T slope_times(T dy, T y, Pair<T>) {
    return select(y <= T(0), T(0), dy);
  }
};

// With a slope of 0 or more, y has the sign of x.
struct LeakyRelu {
  static constexpr Signature kSignature{"leaky_relu", {.name = "negative_slope", .value = 0.01}};
  static constexpr bool saves_output(const Params& p) { return p.a >= 0; }
  template <class T>
  static T value(T x, Pair<T> p) {
    return select(x > T(0), x, p.a * x);
  }
  template <class T>
  static T slope_times(T dy, T x, Pair<T> p) {
    return select(x > T(0), dy, p.a * dy);
  }
};

// One weight for each element, which is trained: not in the list.
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
  static constexpr Signature kSignature{"elu", {.name = "alpha", .value = 1}, {.name = "scale", .value = 1}};
  template <class T>
  static T value(T x, Pair<T> p) {
    return p.b * select(x > T(0), x, p.a * expm1(x));
  }
  template <class T>
  static T slope_times(T dy, T x, Pair<T> p) {
    return p.b * dy * select(x > T(0), T(1), p.a * exp(x));
  }
};

struct Selu : Elu {
  static constexpr Signature kSignature{
      "selu", {.value = 1.6732632423543772848170429916717}, {.value = 1.0507009873554804934193349852946}};
};

// x Phi(x), Phi(x) = erfc(-x / sqrt 2) / 2, which keeps its digits where x < 0.
struct Gelu : SavesInput {
  static constexpr Signature kSignature{"gelu"};
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
  static constexpr Signature kSignature{"gelu_tanh"};
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
  static constexpr Signature kSignature{"silu"};
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
  static constexpr Signature kSignature{"mish"};
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
  static constexpr Signature kSignature{"softplus",
                                        {.name = "beta", .value = 1, .rule = Rule::nonzero},
                                        {.name = "threshold", .value = 20, .rule = Rule::number}};
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
  static constexpr Signature kSignature{"sigmoid"};
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
  static constexpr Signature kSignature{"tanh"};
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
  static constexpr Signature kSignature{"hardswish"};
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
  static constexpr Signature kSignature{"hardsigmoid"};
  template <class T>
  static T value(T x, Pair<T>) {
    return select(x <= T(-3), T(0), select(x >= T(3), T(1), (x + T(3)) / T(6)));
  }
  template <class T>
  static T slope_times(T dy, T x, Pair<T>) {
    return select(x > T(-3), select(x < T(3), dy / T(6), T(0)), T(0));
  }
};

// log sigmoid(x) = min(x, 0) - log(1 + exp(-|x|)).
struct LogSigmoid : SavesInput {
  static constexpr Signature kSignature{"logsigmoid"};
  template <class T>
  static T value(T x, Pair<T>) {
    return select(x < T(0), x, T(0)) - log1p(exp(-abs(x)));
  }
  template <class T>
  static T slope_times(T dy, T x, Pair<T>) {
    return dy / (T(1) + exp(x));
  }
};

// In the order of enum Activation, from the one after `none` on.
using Activations =
    TypeList<Relu, LeakyRelu, Elu, Selu, Gelu, Silu, Mish, Softplus, Sigmoid, Tanh, Hardswish, Hardsigmoid, LogSigmoid>;
// Activations that come of an option.
using ActivationForms = TypeList<GeluTanh>;

}  // namespace
}  // namespace tapestry::pointwise
