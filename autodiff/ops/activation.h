// Activations: pointwise, y has x's shape. Formulas and slopes at kinks are PyTorch's. NaN stays NaN; infinities and
// very large numbers give the limit, forward and backward.
#pragma once

#include "autodiff/var.h"

namespace tapestry {

// y = max(x, 0), y'(0) = 0. Saves y.
Var relu(const Var& x, Location where = std::source_location::current());

struct LeakyReluOptions {
  double negative_slope = 0.01;
  Location where = std::source_location::current();
};
// y = x for x > 0, negative_slope x elsewhere, 0 included. Saves y, or x when the slope is negative.
Var leaky_relu(const Var& x, LeakyReluOptions options = {});

// y = x for x > 0, weight x elsewhere. weight is [1], or [C] where x is [..., C]. Saves x and weight.
// He et al., Delving Deep into Rectifiers, 2015.
Var prelu(const Var& x, const Var& weight, Location where = std::source_location::current());

struct EluOptions {
  double alpha = 1;
  Location where = std::source_location::current();
};
// y = x for x > 0, alpha (exp(x) - 1) elsewhere. Saves x. Clevert et al., 2015.
Var elu(const Var& x, EluOptions options = {});
// y = scale elu(x, alpha), with scale = 1.0507... and alpha = 1.6732... Saves x. Klambauer et al., 2017.
Var selu(const Var& x, Location where = std::source_location::current());

enum class GeluApproximation { none, tanh };
struct GeluOptions {
  GeluApproximation approximate =
      GeluApproximation::none;  // tanh: with Phi(x) = (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
  Location where = std::source_location::current();
};
// y = x Phi(x), Phi the normal distribution function. Saves x. Hendrycks and Gimpel, 2016.
Var gelu(const Var& x, GeluOptions options = {});

// y = x sigmoid(x), also called swish. Saves x.
Var silu(const Var& x, Location where = std::source_location::current());
// y = x tanh(log(1 + exp(x))). Saves x. Misra, 2019.
Var mish(const Var& x, Location where = std::source_location::current());

struct SoftplusOptions {
  double beta = 1;
  double threshold = 20;  // where beta x is above it, y = x
  Location where = std::source_location::current();
};
// y = log(1 + exp(beta x)) / beta. Saves x. ArgumentError when beta is 0.
Var softplus(const Var& x, SoftplusOptions options = {});

// y = 1 / (1 + exp(-x)). Saves y.
Var sigmoid(const Var& x, Location where = std::source_location::current());
// Saves y.
Var tanh(const Var& x, Location where = std::source_location::current());

// y = x min(max(x + 3, 0), 6) / 6; the slope is 0 at -3 and 1 at 3. Saves x. Howard et al., MobileNetV3, 2019.
Var hardswish(const Var& x, Location where = std::source_location::current());
// y = min(max(x + 3, 0), 6) / 6; the slope is 0 at both kinks. Saves x.
Var hardsigmoid(const Var& x, Location where = std::source_location::current());

// An activation with its default options, for ops and layers that end in one.
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
  hardsigmoid
};

// What the function of that name gives; none: x itself. ArgumentError for a number that names no activation.
Var activate(const Var& x, Activation activation, Location where = std::source_location::current());

}  // namespace tapestry
