// Layers that normalize each sample over axes of its own. layers/group_norm.h, instance_norm.h and batch_norm.h have
// the norms over channels, layers/dialects/ the words of other toolkits. All take the residual and the activation that
// follow them in their own pass.
#pragma once

#include "autodiff/ops/layer_norm.h"
#include "layers/norm_parts.h"

namespace tapestry {

// y = (x - mean) / sqrt(var + epsilon) * weight + bias, with the statistics of each position over the last axes of x
// (torch.nn.LayerNorm), or over the reduction_axes. Axes are those of x, where 0 is the batch.
class LayerNorm {
 public:
  struct Options {
    Shape normalized_shape = {};  // of weight and bias; nothing: what the layer before gives along the feature axes
    int axes = 1;                 // where no normalized_shape is given
    double epsilon = 1e-5;
    Activation activation = Activation::none;
    bool elementwise_affine = true;  // false: neither weight nor bias
    bool weight = true;
    bool bias = true;
    Initializer weight_init = 1.0;
    Initializer bias_init = 0.0;
    bool trainable = true;     // weight and bias
    Axes reduction_axes = {};  // what is normalized; nothing: the last ones, as many as normalized_shape has
    Axes feature_axes = {};    // along which weight and bias lie, in the order of x; nothing: those that are normalized
    bool use_fast_variance = true;
    std::optional<DType> dtype = std::nullopt;  // of y; nothing: the widest of x, weight and bias
    ReplicaAxes replicas = {};                  // whose statistics are averaged
    Location where = std::source_location::current();
  };
  explicit LayerNorm(Options options) : options(std::move(options)) {}
  explicit LayerNorm(Location where = std::source_location::current()) : LayerNorm(Options{.where = where}) {}
  explicit LayerNorm(std::int64_t normalized_size, Location where = std::source_location::current())
      : LayerNorm(Options{.normalized_shape = Shape{normalized_size}, .where = where}) {}

  Options options;
  Parameter weight, bias;  // of the normalized shape

  bool has_weight() const { return options.elementwise_affine && options.weight; }
  bool has_bias() const { return options.elementwise_affine && options.bias; }
  void visit(Visitor& v) { detail::visit_affine(*this, v); }
  Flow build(Builder& b, const Flow& in);
  Cost cost(const Shape& in, const Shape& out) const;
  Var operator()(const Var& x, const Tail& tail = {}) const { return (*this)(x, Tensor{}, tail); }
  // What is not 0 in `mask`, which broadcasts to x, counts for the statistics; y is written everywhere.
  Var operator()(const Var& x, const Tensor& mask, const Tail& tail = {}) const;
  Part part() const { return Part::first(Part::Stage::norm, options.activation); }
};

// y = x / sqrt(mean of x^2 + epsilon) * weight (Zhang and Sennrich 2019), otherwise as LayerNorm. epsilon is 1e-6 as in
// brainstate; torch.nn.RMSNorm takes the type's machine epsilon, 1.19e-7 for floats, unless told.
class RMSNorm {
 public:
  struct Options {
    Shape normalized_shape = {};
    int axes = 1;
    double epsilon = 1e-6;
    Activation activation = Activation::none;
    bool weight = true;
    Initializer weight_init = 1.0;
    bool trainable = true;
    Axes reduction_axes = {};
    Axes feature_axes = {};
    bool use_fast_variance = true;
    std::optional<DType> dtype = std::nullopt;
    ReplicaAxes replicas = {};
    Location where = std::source_location::current();
  };
  explicit RMSNorm(Options options) : options(std::move(options)) {}
  explicit RMSNorm(Location where = std::source_location::current()) : RMSNorm(Options{.where = where}) {}
  explicit RMSNorm(std::int64_t normalized_size, Location where = std::source_location::current())
      : RMSNorm(Options{.normalized_shape = Shape{normalized_size}, .where = where}) {}

  Options options;
  Parameter weight;  // of the normalized shape

  bool has_weight() const { return options.weight; }
  void visit(Visitor& v) { detail::visit_affine(*this, v); }
  Flow build(Builder& b, const Flow& in);
  Cost cost(const Shape& in, const Shape& out) const;
  Var operator()(const Var& x, const Tail& tail = {}) const { return (*this)(x, Tensor{}, tail); }
  Var operator()(const Var& x, const Tensor& mask, const Tail& tail = {}) const;
  Part part() const { return Part::first(Part::Stage::norm, options.activation); }
};

}  // namespace tapestry
