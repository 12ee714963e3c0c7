// The formulas of the pointwise functions, and the choice among all pointwise ops; see activation-inl.h.
#pragma once

#include "autodiff/pointwise/activation-inl.h"

namespace tapestry::pointwise {
namespace {

struct Exp : SavesOutput {
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
  template <class T>
  static T value(T x, Pair<T> p) {
    return select(x < p.a, p.a, select(x > p.b, p.b, x));
  }
  template <class T>
  static T slope_times(T dy, T x, Pair<T> p) {
    return select(x >= p.a, select(x <= p.b, dy, T(0)), T(0));
  }
};

// Calls body(F{}) with the formulas F of `op`.
template <class Body>
void visit(Op op, const Body& body) {
  switch (op) {
    case Op::relu:
      return body(Relu{});
    case Op::leaky_relu:
      return body(LeakyRelu{});
    case Op::elu:
      return body(Elu{});
    case Op::gelu:
      return body(Gelu{});
    case Op::gelu_tanh:
      return body(GeluTanh{});
    case Op::silu:
      return body(Silu{});
    case Op::mish:
      return body(Mish{});
    case Op::softplus:
      return body(Softplus{});
    case Op::sigmoid:
      return body(Sigmoid{});
    case Op::tanh:
      return body(Tanh{});
    case Op::hardswish:
      return body(Hardswish{});
    case Op::hardsigmoid:
      return body(Hardsigmoid{});
    case Op::exp:
      return body(Exp{});
    case Op::log:
      return body(Log{});
    case Op::log1p:
      return body(Log1p{});
    case Op::expm1:
      return body(Expm1{});
    case Op::sqrt:
      return body(Sqrt{});
    case Op::rsqrt:
      return body(Rsqrt{});
    case Op::abs:
      return body(Abs{});
    case Op::square:
      return body(Square{});
    case Op::reciprocal:
      return body(Reciprocal{});
    case Op::sin:
      return body(Sin{});
    case Op::cos:
      return body(Cos{});
    case Op::erf:
      return body(Erf{});
    case Op::clamp:
      return body(Clamp{});
  }
}

}  // namespace
}  // namespace tapestry::pointwise
