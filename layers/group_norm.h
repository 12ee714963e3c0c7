// Group normalization.
#pragma once

#include "autodiff/ops/group_norm.h"
#include "layers/norm_parts.h"

namespace tapestry {

// group_norm of x [N, ..., C] (Wu and He 2018; torch.nn.GroupNorm, whose channels come second). Axes are those of x,
// where 0 is the batch. GroupNorm{4} has 4 groups of however many channels arrive, GroupNorm{} has 32.
class GroupNorm {
 public:
  struct Options {
    std::int64_t num_groups = 0;  // either of both, which divides the channels; neither: 32 groups
    std::int64_t group_size = 0;
    std::int64_t num_channels = 0;  // 0: what the layer before gives
    int rank = 0;                   // of the inputs that are taken, from 2 to 5, the batch counts; 0: any
    double epsilon = 1e-5;
    Activation activation = Activation::none;
    bool weight = true;
    bool bias = true;
    Initializer weight_init = 1.0;
    Initializer bias_init = 0.0;
    bool trainable = true;  // weight and bias
    AffineShape affine =
        AffineShape::per_channel;  // the sizes of feature_axes, or [d1..dk, group_size], shared by the groups
    Axes reduction_axes = {};      // with statistics in common, feature axes among them; nothing: all but the batch
    Axes axis = {};          // the same as positions of x [N, d1..dk, C] from 1 to k, beside the channels of a group
    Axes feature_axes = -1;  // the channels; several are taken together, in the order of x
    bool use_fast_variance = true;
    std::optional<DType> dtype = std::nullopt;  // of y; nothing: the widest of x, weight and bias
    ReplicaAxes replicas = {};                  // whose statistics are averaged
    Location where = std::source_location::current();
  };
  explicit GroupNorm(Options options) : options(std::move(options)) {}
  explicit GroupNorm(Location where = std::source_location::current()) : GroupNorm(Options{.where = where}) {}
  explicit GroupNorm(std::int64_t num_groups, Location where = std::source_location::current());

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

 private:
  std::int64_t groups_of(std::int64_t channels) const;
  Shape affine_shape(const Shape& channels, std::int64_t groups, const Flow& in) const;
  Axes reduction_axes(int rank) const;
};

}  // namespace tapestry
