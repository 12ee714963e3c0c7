// The formulas of the pointwise functions; see activation-inl.h.
#pragma once

#include "autodiff/pointwise/parts-inl.h"

namespace tapestry::pointwise {
namespace {

struct Exp : SavesOutput {
  static constexpr Signature kSignature{"exp"};
  template <class T>
  static T value(T x, Pair<T>) {
    return exp(x);
  }
  template <class T>
  static T slope_times(T dy, T y, Pair<T>) {
    return dy * y;
  }
};

struct Log : SavesInput {
  static constexpr Signature kSignature{"log"};
  template <class T>
  static T value(T x, Pair<T>) {
    return log(x);
  }
  template <class T>
  static T slope_times(T dy, T x, Pair<T>) {
    return dy / x;
  }
};

struct Log1p : SavesInput {
  static constexpr Signature kSignature{"log1p"};
  template <class T>
  static T value(T x, Pair<T>) {
    return log1p(x);
  }
  template <class T>
  static T slope_times(T dy, T x, Pair<T>) {
    return dy / (T(1) + x);
  }
};

struct Expm1 : SavesInput {
  static constexpr Signature kSignature{"expm1"};
  template <class T>
  static T value(T x, Pair<T>) {
    return expm1(x);
  }
  template <class T>
  static T slope_times(T dy, T x, Pair<T>) {
    return dy * exp(x);
  }
};

struct Sqrt : SavesOutput {
  static constexpr Signature kSignature{"sqrt"};
  template <class T>
  static T value(T x, Pair<T>) {
    return sqrt(x);
  }
  template <class T>
  static T slope_times(T dy, T y, Pair<T>) {
    return dy / (T(2) * y);
  }
};

struct Rsqrt : SavesOutput {
  static constexpr Signature kSignature{"rsqrt"};
  template <class T>
  static T value(T x, Pair<T>) {
    return T(1) / sqrt(x);
  }
  template <class T>
  static T slope_times(T dy, T y, Pair<T>) {
    return number<T>(-0.5) * dy * y * y * y;
  }
};

struct Abs : SavesInput {
  static constexpr Signature kSignature{"abs"};
  template <class T>
  static T value(T x, Pair<T>) {
    return abs(x);
  }
  template <class T>
  static T slope_times(T dy, T x, Pair<T>) {
    return select(x > T(0), dy, select(x < T(0), -dy, x));  // 0 or NaN: itself
  }
};

struct Square : SavesInput {
  static constexpr Signature kSignature{"square"};
  template <class T>
  static T value(T x, Pair<T>) {
    return x * x;
  }
  template <class T>
  static T slope_times(T dy, T x, Pair<T>) {
    return T(2) * x * dy;
  }
};

struct Reciprocal : SavesOutput {
  static constexpr Signature kSignature{"reciprocal"};
  template <class T>
  static T value(T x, Pair<T>) {
    return T(1) / x;
  }
  template <class T>
  static T slope_times(T dy, T y, Pair<T>) {
    return -dy * y * y;
  }
};

struct Sin : SavesInput {
  static constexpr Signature kSignature{"sin"};
  template <class T>
  static T value(T x, Pair<T>) {
    return sin(x);
  }
  template <class T>
  static T slope_times(T dy, T x, Pair<T>) {
    return dy * cos(x);
  }
};

struct Cos : SavesInput {
  static constexpr Signature kSignature{"cos"};
  template <class T>
  static T value(T x, Pair<T>) {
    return cos(x);
  }
  template <class T>
  static T slope_times(T dy, T x, Pair<T>) {
    return -dy * sin(x);
  }
};

struct Erf : SavesInput {
  static constexpr Signature kSignature{"erf"};
  template <class T>
  static T value(T x, Pair<T>) {
    return erf(x);
  }
  template <class T>
  static T slope_times(T dy, T x, Pair<T>) {
    return dy * number<T>(1.12837916709551257390) * exp(-x * x);
  }
};

struct Clamp : SavesInput {
  static constexpr Signature kSignature{"clamp",
                                        {.name = "min", .value = -HUGE_VAL, .rule = Rule::number},
                                        {.name = "max", .value = HUGE_VAL, .rule = Rule::number}};
  template <class T>
  static T value(T x, Pair<T> p) {
    return select(x < p.a, p.a, select(x > p.b, p.b, x));
  }
  template <class T>
  static T slope_times(T dy, T x, Pair<T> p) {
    return select(x >= p.a, select(x <= p.b, dy, T(0)), T(0));
  }
};

using Functions = TypeList<Exp, Log, Log1p, Expm1, Sqrt, Rsqrt, Abs, Square, Reciprocal, Sin, Cos, Erf, Clamp>;

}  // namespace
}  // namespace tapestry::pointwise
