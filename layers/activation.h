// Activations as layers; formulas and options are those of autodiff/ops/activation.h.
#pragma once

#include "autodiff/ops/activation.h"
#include "layers/builder.h"
#include "layers/fusion.h"

namespace tapestry {

struct ActivationOptions {
  Location where = std::source_location::current();
};

namespace detail {

// A layer that acts on each element.
template <class Options>
struct Pointwise {
  explicit Pointwise(Options options) : options(std::move(options)) {}
  Options options;
  Flow build(Builder&, const Flow& in) const { return in; }
};

}  // namespace detail

// Computed in one pass with a convolution or a norm before it. The others are passes of their own anyway.
struct Relu : detail::Pointwise<ActivationOptions> {
  explicit Relu(ActivationOptions options = {}) : Pointwise(options) {}
  Part part() const { return Part::follower({.activation = Activation::relu}); }
  Var operator()(const Var& x) const { return relu(x, options.where); }
};

struct LeakyRelu : detail::Pointwise<LeakyReluOptions> {
  explicit LeakyRelu(LeakyReluOptions options = {}) : Pointwise(options) {}
  Var operator()(const Var& x) const { return leaky_relu(x, options); }
};

struct PReluOptions {
  bool per_channel = false;  // one trained slope for each size of the last axis, instead of one for all
  Initializer init = Constant{0.25};
  Location where = std::source_location::current();
};
// torch.nn.PReLU: the slope of the negative side is trained.
struct PRelu {
  explicit PRelu(PReluOptions options = {}) : options(std::move(options)) {}
  PReluOptions options;
  Parameter weight;  // [1] or [C]

  void visit(Visitor& v) { v("weight", weight); }
  Flow build(Builder& b, const Flow& in) {
    b.parameter(weight, {options.per_channel ? b.size("channels", 0, in, -1, options.where) : 1}, options.init,
                {.flattened = options.per_channel ? in.flattened : Shape{}});
    return in;
  }
  Var operator()(const Var& x) const {
    require_built(weight, "PRelu", options.where);
    return prelu(x, weight.on(x), options.where);
  }
};

struct Elu : detail::Pointwise<EluOptions> {
  explicit Elu(EluOptions options = {}) : Pointwise(options) {}
  Var operator()(const Var& x) const { return elu(x, options); }
};

struct Selu : detail::Pointwise<ActivationOptions> {
  explicit Selu(ActivationOptions options = {}) : Pointwise(options) {}
  Var operator()(const Var& x) const { return selu(x, options.where); }
};

struct Gelu : detail::Pointwise<GeluOptions> {
  explicit Gelu(GeluOptions options = {}) : Pointwise(options) {}
  Var operator()(const Var& x) const { return gelu(x, options); }
};

struct Silu : detail::Pointwise<ActivationOptions> {
  explicit Silu(ActivationOptions options = {}) : Pointwise(options) {}
  Var operator()(const Var& x) const { return silu(x, options.where); }
};

struct Mish : detail::Pointwise<ActivationOptions> {
  explicit Mish(ActivationOptions options = {}) : Pointwise(options) {}
  Var operator()(const Var& x) const { return mish(x, options.where); }
};

struct Softplus : detail::Pointwise<SoftplusOptions> {
  explicit Softplus(SoftplusOptions options = {}) : Pointwise(options) {}
  Var operator()(const Var& x) const { return softplus(x, options); }
};

struct Sigmoid : detail::Pointwise<ActivationOptions> {
  explicit Sigmoid(ActivationOptions options = {}) : Pointwise(options) {}
  Var operator()(const Var& x) const { return sigmoid(x, options.where); }
};

struct Tanh : detail::Pointwise<ActivationOptions> {
  explicit Tanh(ActivationOptions options = {}) : Pointwise(options) {}
  Var operator()(const Var& x) const { return tanh(x, options.where); }
};

struct Hardswish : detail::Pointwise<ActivationOptions> {
  explicit Hardswish(ActivationOptions options = {}) : Pointwise(options) {}
  Var operator()(const Var& x) const { return hardswish(x, options.where); }
};

struct Hardsigmoid : detail::Pointwise<ActivationOptions> {
  explicit Hardsigmoid(ActivationOptions options = {}) : Pointwise(options) {}
  Var operator()(const Var& x) const { return hardsigmoid(x, options.where); }
};

struct LogSigmoid : detail::Pointwise<ActivationOptions> {
  explicit LogSigmoid(ActivationOptions options = {}) : Pointwise(options) {}
  Var operator()(const Var& x) const { return logsigmoid(x, options.where); }
};

}  // namespace tapestry
