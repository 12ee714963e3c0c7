// Normalization layers that know no batch; layers/norm_batch.h has those that do. Each takes the residual and the
// activation that follow it in its own pass.
#pragma once

#include <string_view>

#include "autodiff/ops/norm.h"
#include "layers/builder.h"

namespace tapestry {
namespace detail {

// What all norm layers share: `options` with weight, bias, their initializers, epsilon, activation and where.
template <class L>
void visit_affine(L& layer, Visitor& v) {
  if (layer.options.weight) v("weight", layer.weight);
  if (layer.options.bias) v("bias", layer.bias);
}
template <class L>
void build_affine(L& layer, Builder& b, const Flow& in, const Shape& shape) {
  const ParameterOptions order{.flattened = in.flattened};
  if (layer.options.weight) b.parameter(layer.weight, shape, layer.options.weight_init, order);
  if (layer.options.bias) b.parameter(layer.bias, shape, layer.options.bias_init, order);
}
// The parameter as an input beside x; a Var that holds nothing where the layer has none.
Var affine_on(const Parameter& parameter, bool given, const Var& x, std::string_view layer, const Location& where);
// The layer's own activation or that of the tail: one of them is none.
inline Activation either(Activation own, const Tail& tail) { return own == Activation::none ? tail.activation : own; }
Cost norm_cost(const Shape& out, int operations);
// ShapeError unless samples of `rank` axes fit a layer for [low, high] axes; `rank` counts the batch.
void check_rank(std::string_view layer, int rank, int low, int high, const Shape& shape, const Location& where);

}  // namespace detail

// y = (x - mean) / sqrt(var + epsilon) * weight + bias over the last axes of each sample (torch.nn.LayerNorm).
class LayerNorm {
 public:
  struct Options {
    Shape normalized_shape = {};  // nothing: the last `axes` axes of what the layer before gives
    int axes = 1;                 // where no normalized_shape is given
    double epsilon = 1e-5;
    Activation activation = Activation::none;
    bool weight = true;
    bool bias = true;
    Initializer weight_init = Constant{1};
    Initializer bias_init = Constant{0};
    Location where = std::source_location::current();
  };
  explicit LayerNorm(Options options) : options(std::move(options)) {}
  explicit LayerNorm(Location where = std::source_location::current()) : LayerNorm(Options{.where = where}) {}

  Options options;
  Parameter weight, bias;  // of the normalized shape

  void visit(Visitor& v) { detail::visit_affine(*this, v); }
  Flow build(Builder& b, const Flow& in);
  Cost cost(const Shape& in, const Shape& out) const;
  Var operator()(const Var& x, const Tail& tail = {}) const;
  bool takes_activation() const { return options.activation == Activation::none; }
  bool takes_residual() const { return options.activation == Activation::none; }

 private:
  int axes() const { return options.normalized_shape.rank() > 0 ? options.normalized_shape.rank() : options.axes; }
};

// group_norm of x [N, ..., C] (torch.nn.GroupNorm, whose channels come second).
class GroupNorm {
 public:
  struct Options {
    std::int64_t num_groups = 0;  // exactly one of both, and it divides the channels
    std::int64_t group_size = 0;
    std::int64_t num_channels = 0;  // 0: the last axis of what the layer before gives
    double epsilon = 1e-5;
    Activation activation = Activation::none;
    bool weight = true;
    bool bias = true;
    Initializer weight_init = Constant{1};
    Initializer bias_init = Constant{0};
    Location where = std::source_location::current();
  };
  explicit GroupNorm(Options options) : options(std::move(options)) {}

  Options options;
  Parameter weight, bias;  // [C]

  void visit(Visitor& v) { detail::visit_affine(*this, v); }
  Flow build(Builder& b, const Flow& in);
  Cost cost(const Shape& in, const Shape& out) const;
  Var operator()(const Var& x, const Tail& tail = {}) const;
  bool takes_activation() const { return options.activation == Activation::none; }
  bool takes_residual() const { return options.activation == Activation::none; }
};

namespace detail {

// instance_norm of inputs of `rank` axes (torch.nn.InstanceNorm1d to 3d, which have no parameters unless asked).
class InstanceNorm {
 public:
  struct Options {
    std::int64_t num_features = 0;  // 0: the last axis of what the layer before gives
    double epsilon = 1e-5;
    Activation activation = Activation::none;
    bool weight = false;
    bool bias = false;
    Initializer weight_init = Constant{1};
    Initializer bias_init = Constant{0};
    Location where = std::source_location::current();
  };

  Options options;
  Parameter weight, bias;  // [C]

  void visit(Visitor& v) { visit_affine(*this, v); }
  Flow build(Builder& b, const Flow& in);
  Cost cost(const Shape& in, const Shape& out) const;
  Var operator()(const Var& x, const Tail& tail = {}) const;
  bool takes_activation() const { return options.activation == Activation::none; }
  bool takes_residual() const { return options.activation == Activation::none; }

 protected:
  InstanceNorm(std::string_view name, int rank, Options options)
      : options(std::move(options)), name_(name), rank_(rank) {}

 private:
  std::string_view name_;
  int rank_;
};

}  // namespace detail

struct InstanceNorm1d : detail::InstanceNorm {  // [N, L, C]
  explicit InstanceNorm1d(Options options) : InstanceNorm("InstanceNorm1d", 3, std::move(options)) {}
  explicit InstanceNorm1d(Location where = std::source_location::current()) : InstanceNorm1d(Options{.where = where}) {}
};
struct InstanceNorm2d : detail::InstanceNorm {  // [N, H, W, C]
  explicit InstanceNorm2d(Options options) : InstanceNorm("InstanceNorm2d", 4, std::move(options)) {}
  explicit InstanceNorm2d(Location where = std::source_location::current()) : InstanceNorm2d(Options{.where = where}) {}
};
struct InstanceNorm3d : detail::InstanceNorm {  // [N, D, H, W, C]
  explicit InstanceNorm3d(Options options) : InstanceNorm("InstanceNorm3d", 5, std::move(options)) {}
  explicit InstanceNorm3d(Location where = std::source_location::current()) : InstanceNorm3d(Options{.where = where}) {}
};

}  // namespace tapestry
