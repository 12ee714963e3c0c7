#include "autodiff/ops/activation.h"

#include <fmt/format.h>

#include <cmath>

#include "autodiff/cost.h"
#include "autodiff/pointwise/run.h"

namespace tapestry {
namespace {

using pointwise::apply;
using pointwise::Op;

void check_finite(const char* op, const char* option, double value, const Location& where) {
  if (!std::isfinite(value)) fail<ArgumentError>(where, op, fmt::format("{} is {}", option, value));
}

}  // namespace

Var relu(const Var& x, Location where) { return apply("relu", Op::relu, {}, x, where); }

Var leaky_relu(const Var& x, LeakyReluOptions options) {
  const double slope = options.negative_slope;
  check_finite("leaky_relu", "negative_slope", slope, options.where);
  return apply("leaky_relu", Op::leaky_relu, {.a = slope}, x, options, slope >= 0);
}

Var prelu(const Var& x, const Var& weight, Location where) {
  pointwise::check_floating("prelu", x, where);
  pointwise::check_floating("prelu", weight, where);
  if (x.dtype() != weight.dtype())
    fail<ArgumentError>(where, "prelu",
                        fmt::format("x is {}, weight is {}", dtype_name(x.dtype()), dtype_name(weight.dtype())));
  const Shape &sx = x.shape(), &sw = weight.shape();
  if (sw.rank() != 1 || (sw[0] != 1 && (sx.rank() == 0 || sw[0] != sx[-1])))
    fail<ShapeError>(
        where, "prelu",
        fmt::format("weight must be [1] or [C] for x [..., C]; x is {}, weight is {}", to_string(sx), to_string(sw)));
  const kernels::Device& device = x.device();
  Tensor y = x.value().like();
  visit_floating("prelu", x.dtype(), [&]<class T>(T) {
    pointwise::prelu(device, x.value().span<T>(), weight.value().span<T>(), y.span<T>());
  });
  return record(OpInfo("prelu", elementwise_cost<Saved::inputs>), y, {x, weight}, where,
                [&device, x = x.value(), w = weight.value()](const Tensor& dy, GradSlots grads) {
                  Tensor dx = grads.overwrite(0), dw = grads.overwrite(1);
                  visit_floating("prelu", dy.dtype(), [&]<class T>(T) {
                    pointwise::prelu_backward(device, x.span<T>(), w.span<T>(), dy.span<T>(), dx.span<T>(),
                                              dw.span<T>());
                  });
                });
}

Var elu(const Var& x, EluOptions options) {
  check_finite("elu", "alpha", options.alpha, options.where);
  return apply("elu", Op::elu, {.a = options.alpha, .b = 1}, x, options);
}

Var selu(const Var& x, Location where) {
  return apply("selu", Op::elu, {.a = 1.6732632423543772848170429916717, .b = 1.0507009873554804934193349852946}, x,
               where);
}

Var gelu(const Var& x, GeluOptions options) {
  return apply("gelu", options.approximate == GeluApproximation::tanh ? Op::gelu_tanh : Op::gelu, {}, x, options);
}

Var silu(const Var& x, Location where) { return apply("silu", Op::silu, {}, x, where); }
Var mish(const Var& x, Location where) { return apply("mish", Op::mish, {}, x, where); }

Var softplus(const Var& x, SoftplusOptions options) {
  check_finite("softplus", "beta", options.beta, options.where);
  if (options.beta == 0) fail<ArgumentError>(options.where, "softplus", "beta is 0");
  if (std::isnan(options.threshold)) fail<ArgumentError>(options.where, "softplus", "threshold is nan");
  return apply("softplus", Op::softplus, {.a = options.beta, .b = options.threshold}, x, options);
}

Var sigmoid(const Var& x, Location where) { return apply("sigmoid", Op::sigmoid, {}, x, where); }
Var tanh(const Var& x, Location where) { return apply("tanh", Op::tanh, {}, x, where); }
Var hardswish(const Var& x, Location where) { return apply("hardswish", Op::hardswish, {}, x, where); }
Var hardsigmoid(const Var& x, Location where) { return apply("hardsigmoid", Op::hardsigmoid, {}, x, where); }

Var activate(const Var& x, Activation activation, Location where) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return relu(x, where);
    case Activation::leaky_relu:
      return leaky_relu(x, {.where = where});
    case Activation::elu:
      return elu(x, {.where = where});
    case Activation::selu:
      return selu(x, where);
    case Activation::gelu:
      return gelu(x, {.where = where});
    case Activation::silu:
      return silu(x, where);
    case Activation::mish:
      return mish(x, where);
    case Activation::softplus:
      return softplus(x, {.where = where});
    case Activation::sigmoid:
      return sigmoid(x, where);
    case Activation::tanh:
      return tanh(x, where);
    case Activation::hardswish:
      return hardswish(x, where);
    case Activation::hardsigmoid:
      return hardsigmoid(x, where);
  }
  fail<ArgumentError>(where, "activate", fmt::format("{} names no activation", static_cast<int>(activation)));
}

}  // namespace tapestry
