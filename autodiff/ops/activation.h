// Activations: pointwise, y has x's shape. Formulas and slopes at kinks are PyTorch's. NaN stays NaN, forward;
// infinities and very large numbers give the limit, forward and backward.
#pragma once

#include <initializer_list>

#include "autodiff/op.h"
#include "autodiff/var.h"

namespace tapestry {

// An activation with its default options, for ops and layers that end in one. In the order of the formulas
// (autodiff/pointwise/activation-inl.h).
enum class Activation {
  none,
  relu,
  leaky_relu,
  elu,
  selu,
  gelu,
  silu,
  mish,
  softplus,
  sigmoid,
  tanh,
  hardswish,
  hardsigmoid,
  logsigmoid
};

namespace detail {

// The function of that name with these values of its options, in their order; the others are as usual. ArgumentError
// for one that is not finite or breaks another rule of its own.
Var activate(const Var& x, Activation activation, std::initializer_list<double> values, const CallOptions& options);

}  // namespace detail

// What the function of that name gives; none: x itself. ArgumentError for a number that names no activation.
inline Var activate(const Var& x, Activation activation, Location where = std::source_location::current()) {
  return detail::activate(x, activation, {}, where);
}

// y = max(x, 0), y'(0) = 0. Saves y.
inline Var relu(const Var& x, Location where = std::source_location::current()) {
  return activate(x, Activation::relu, where);
}

struct LeakyReluOptions {
  double negative_slope = 0.01;
  Location where = std::source_location::current();
};
// y = x for x > 0, negative_slope x elsewhere, 0 included. Saves y, or x when the slope is negative.
inline Var leaky_relu(const Var& x, LeakyReluOptions options = {}) {
  return detail::activate(x, Activation::leaky_relu, {options.negative_slope}, options);
}

// y = x for x > 0, weight x elsewhere. weight is [1], or [C] where x is [..., C]. Saves x and weight.
// He et al., Delving Deep into Rectifiers, 2015.
Var prelu(const Var& x, const Var& weight, Location where = std::source_location::current());

struct EluOptions {
  double alpha = 1;
  Location where = std::source_location::current();
};
// y = x for x > 0, alpha (exp(x) - 1) elsewhere. Saves x. Clevert et al., 2015.
inline Var elu(const Var& x, EluOptions options = {}) {
  return detail::activate(x, Activation::elu, {options.alpha}, options);
}
// y = scale elu(x, alpha), with scale = 1.0507... and alpha = 1.6732... Saves x. Klambauer et al., 2017.
inline Var selu(const Var& x, Location where = std::source_location::current()) {
  return activate(x, Activation::selu, where);
}

enum class GeluApproximation { none, tanh };
struct GeluOptions {
  GeluApproximation approximate =
      GeluApproximation::none;  // tanh: with Phi(x) = (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
  Location where = std::source_location::current();
};
// y = x Phi(x), Phi the normal distribution function. Saves x. Hendrycks and Gimpel, 2016.
Var gelu(const Var& x, GeluOptions options = {});

// y = x sigmoid(x), also called swish. Saves x.
inline Var silu(const Var& x, Location where = std::source_location::current()) {
  return activate(x, Activation::silu, where);
}
// y = x tanh(log(1 + exp(x))). Saves x. Misra, 2019.
inline Var mish(const Var& x, Location where = std::source_location::current()) {
  return activate(x, Activation::mish, where);
}

struct SoftplusOptions {
  double beta = 1;
  double threshold = 20;  // where beta x is above it, y = x
  Location where = std::source_location::current();
};
// y = log(1 + exp(beta x)) / beta. Saves x. ArgumentError when beta is 0.
inline Var softplus(const Var& x, SoftplusOptions options = {}) {
  return detail::activate(x, Activation::softplus, {options.beta, options.threshold}, options);
}

// y = 1 / (1 + exp(-x)). Saves y.
inline Var sigmoid(const Var& x, Location where = std::source_location::current()) {
  return activate(x, Activation::sigmoid, where);
}
// Saves y.
inline Var tanh(const Var& x, Location where = std::source_location::current()) {
  return activate(x, Activation::tanh, where);
}

// y = x min(max(x + 3, 0), 6) / 6; the slope is 0 at -3 and 1 at 3. Saves x. Howard et al., MobileNetV3, 2019.
inline Var hardswish(const Var& x, Location where = std::source_location::current()) {
  return activate(x, Activation::hardswish, where);
}
// y = min(max(x + 3, 0), 6) / 6; the slope is 0 at both kinks. Saves x.
inline Var hardsigmoid(const Var& x, Location where = std::source_location::current()) {
  return activate(x, Activation::hardsigmoid, where);
}

// y = log(1 / (1 + exp(-x))), to full precision where sigmoid(x) is 0 or 1 in x's type. Saves x.
inline Var logsigmoid(const Var& x, Location where = std::source_location::current()) {
  return activate(x, Activation::logsigmoid, where);
}

}  // namespace tapestry
