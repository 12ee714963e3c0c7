// Instance normalization: each channel of each sample by its own statistics.
#pragma once

#include "autodiff/ops/group_norm.h"
#include "layers/norm_parts.h"

namespace tapestry {

// instance_norm of x [N, ..., C] of any rank (Ulyanov et al. 2016). Axes are those of x, where 0 is the batch.
// InstanceNorm1d to 3d are torch.nn's, with its checks of the rank; there are no parameters unless asked for.
class InstanceNorm {
 public:
  struct Options {
    std::int64_t num_features = 0;  // 0: what the layer before gives
    double epsilon = 1e-5;
    Activation activation = Activation::none;
    bool weight = false;
    bool bias = false;
    Initializer weight_init = 1.0;
    Initializer bias_init = 0.0;
    bool trainable = true;   // weight and bias
    Axes feature_axes = -1;  // along which weight and bias lie, in the order of x; all others but the batch are reduced
    bool use_fast_variance = true;
    std::optional<DType> dtype = std::nullopt;  // of y; nothing: the widest of x, weight and bias
    ReplicaAxes replicas = {};                  // whose statistics are averaged
    Location where = std::source_location::current();
  };
  explicit InstanceNorm(Options options) : InstanceNorm("InstanceNorm", 0, std::move(options)) {}
  explicit InstanceNorm(Location where = std::source_location::current()) : InstanceNorm(Options{.where = where}) {}

  Options options;
  Parameter weight, bias;

  bool has_weight() const { return options.weight; }
  bool has_bias() const { return options.bias; }
  void visit(Visitor& v) { detail::visit_affine(*this, v); }
  Flow build(Builder& b, const Flow& in);
  Cost cost(const Shape& in, const Shape& out) const;
  Var operator()(const Var& x, const Tail& tail = {}) const { return (*this)(x, Tensor{}, tail); }
  // What is not 0 in `mask`, which broadcasts to x, counts for the statistics; y is written everywhere.
  Var operator()(const Var& x, const Tensor& mask, const Tail& tail = {}) const;
  Part part() const { return Part::first(Part::Stage::channel_norm, options.activation); }

 protected:
  InstanceNorm(std::string_view name, int rank, Options options)
      : options(std::move(options)), name_(name), rank_(rank) {}

 private:
  std::string_view name_;
  int rank_;  // of x; 0: any
};

struct InstanceNorm1d : InstanceNorm {  // [N, L, C]
  explicit InstanceNorm1d(Options options) : InstanceNorm("InstanceNorm1d", 3, std::move(options)) {}
  explicit InstanceNorm1d(Location where = std::source_location::current()) : InstanceNorm1d(Options{.where = where}) {}
};
struct InstanceNorm2d : InstanceNorm {  // [N, H, W, C]
  explicit InstanceNorm2d(Options options) : InstanceNorm("InstanceNorm2d", 4, std::move(options)) {}
  explicit InstanceNorm2d(Location where = std::source_location::current()) : InstanceNorm2d(Options{.where = where}) {}
};
struct InstanceNorm3d : InstanceNorm {  // [N, D, H, W, C]
  explicit InstanceNorm3d(Options options) : InstanceNorm("InstanceNorm3d", 5, std::move(options)) {}
  explicit InstanceNorm3d(Location where = std::source_location::current()) : InstanceNorm3d(Options{.where = where}) {}
};

}  // namespace tapestry
