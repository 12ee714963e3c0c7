#include "layers/norm_sources.h"

#include <fmt/format.h>

#include "autodiff/ops/norm_inputs.h"
#include "kernels/error.h"
#include "layers/batch_norm.h"
#include "layers/group_norm.h"
#include "layers/instance_norm.h"
#include "layers/layer_norm.h"

namespace tapestry {
namespace {

// A tensor that brainstate and neupy would broadcast.
Initializer stretched(const Initializer& initializer) {
  if (const Given* given = std::get_if<Given>(&initializer)) return Stretched{given->value};
  return initializer;
}

// Axes of `size`, counted from its end: the same in x, whether `size` has a batch or not.
Axes from_end(std::string_view layer, const Axes& axes, const Shape& size, const Location& where) {
  Axes found;
  for (const int axis : detail::canonical(layer, "feature axes", axes, size.rank(), where))
    found.add(axis - size.rank());
  return found;
}

std::int64_t positive(const char* option, std::int64_t value, const Location& where) {
  if (value < 1) fail<ArgumentError>(where, "GroupNorm", fmt::format("{} must be positive; it is {}", option, value));
  return value;
}

template <class Options>
void set_groups(GroupNorm::Options& to, const Options& from) {
  if (from.num_groups.has_value() == from.group_size.has_value())
    fail<ArgumentError>(from.where, "GroupNorm",
                        from.num_groups ? fmt::format("give either num_groups or group_size, and std::nullopt for the "
                                                      "other; they are {} and {}",
                                                      *from.num_groups, *from.group_size)
                                        : "give either num_groups or group_size; both hold nothing");
  if (from.num_groups) to.num_groups = positive("num_groups", *from.num_groups, from.where);
  if (from.group_size) to.group_size = positive("group_size", *from.group_size, from.where);
}

// What brainstate's LayerNorm and RMSNorm have in common.
template <class Options, class From>
Options row_options(const char* layer, const From& from) {
  const Axes features = from_end(layer, from.feature_axes, from.in_size, from.where);
  return {.normalized_shape = detail::sizes_of(from.in_size, features),
          .epsilon = from.epsilon,
          .weight = from.use_scale,
          .weight_init = stretched(from.scale_init),
          .trainable = from.trainable,
          .reduction_axes = from.reduction_axes,
          .feature_axes = features,
          .use_fast_variance = from.use_fast_variance,
          .dtype = from.dtype,
          .replicas = {from.axis_name, from.axis_index_groups},
          .where = from.where};
}

}  // namespace

GroupNorm GroupNorm::brainpy(const BrainpyGroupNormOptions& from) {
  Options to{.epsilon = from.epsilon,
             .weight = from.use_scale,
             .bias = from.use_bias,
             .weight_init = from.gamma_init,
             .bias_init = from.beta_init,
             .trainable = from.trainable,
             .affine = AffineShape::per_position,
             .axis = from.axis,
             .where = from.where};
  set_groups(to, from);
  return GroupNorm(std::move(to));
}

GroupNorm GroupNorm::brainpy_layers(const BrainpyLayersGroupNormOptions& from) {
  return GroupNorm(Options{.num_groups = positive("num_groups", from.num_groups, from.where),
                           .num_channels = from.num_channels,
                           .epsilon = from.epsilon,
                           .weight = from.affine,
                           .bias = from.affine,
                           .weight_init = from.scale_initializer,
                           .bias_init = from.bias_initializer,
                           .where = from.where});
}

GroupNorm GroupNorm::brainstate(const BrainstateGroupNormOptions& from) {
  const Axes feature = from_end("GroupNorm", from.feature_axis, from.in_size, from.where);
  Options to{.num_channels = from.in_size[feature[0]],
             .epsilon = from.epsilon,
             .weight = from.use_scale,
             .bias = from.use_bias,
             .weight_init = stretched(from.scale_init),
             .bias_init = stretched(from.bias_init),
             .trainable = from.trainable,
             .reduction_axes = from.reduction_axes,
             .feature_axes = feature,
             .use_fast_variance = from.use_fast_variance,
             .dtype = from.dtype,
             .replicas = {from.axis_name, from.axis_index_groups},
             .where = from.where};
  set_groups(to, from);
  return GroupNorm(std::move(to));
}

GroupNorm GroupNorm::neupy(const NeupyGroupNormOptions& from) {
  GroupNorm layer(Options{.num_groups = positive("n_groups", from.n_groups, from.where),
                          .epsilon = from.epsilon,
                          .weight_init = stretched(from.gamma),
                          .bias_init = stretched(from.beta),
                          .where = from.where});
  layer.neupy_ = true;
  return layer;
}

LayerNorm LayerNorm::brainpy(const BrainpyLayerNormOptions& from) {
  if (from.normalized_shape.rank() == 0)
    fail<ArgumentError>(from.where, "LayerNorm", "normalized_shape must have at least one axis");
  return LayerNorm(Options{.normalized_shape = from.normalized_shape,
                           .epsilon = from.epsilon,
                           .elementwise_affine = from.elementwise_affine,
                           .weight_init = from.scale_initializer,
                           .bias_init = from.bias_initializer,
                           .where = from.where});
}

LayerNorm LayerNorm::brainstate(const BrainstateLayerNormOptions& from) {
  Options to = row_options<Options>("LayerNorm", from);
  to.bias = from.use_bias;
  to.bias_init = stretched(from.bias_init);
  return LayerNorm(std::move(to));
}

RMSNorm RMSNorm::brainstate(const BrainstateRmsNormOptions& from) {
  return RMSNorm(row_options<Options>("RMSNorm", from));
}

InstanceNorm InstanceNorm::brainpy(const BrainpyInstanceNormOptions& from) {
  return InstanceNorm(Options{.num_features = from.num_channels,
                              .epsilon = from.epsilon,
                              .weight = from.affine,
                              .bias = from.affine,
                              .weight_init = from.scale_initializer,
                              .bias_init = from.bias_initializer,
                              .where = from.where});
}

namespace detail {

BatchNorm::Options options_of(const BrainpyBatchNormOptions& from) {
  return {.num_features = from.num_features,
          .axis = from.axis,
          .feature_axes = -1,
          .epsilon = from.epsilon,
          .momentum = from.momentum,
          .affine = from.affine,
          .weight_init = from.scale_initializer,
          .bias_init = from.bias_initializer,
          .replicas = {from.axis_name, from.axis_index_groups},
          .where = from.where};
}

BatchNorm::Options options_of(const BrainstateBatchNormOptions& from) {
  return {.in_size = from.in_size,
          .feature_axes = from_end("BatchNorm", from.feature_axis, from.in_size, from.where),
          .epsilon = from.epsilon,
          .momentum = from.momentum,
          .track_running_stats = from.track_running_stats,
          .affine = from.affine,
          .weight_init = stretched(from.scale_initializer),
          .bias_init = stretched(from.bias_initializer),
          .trainable = from.trainable,
          .use_fast_variance = from.use_fast_variance,
          .dtype = from.dtype,
          .replicas = {from.axis_name, from.axis_index_groups},
          .where = from.where};
}

BatchNorm::Options options_of(const NeupyBatchNormOptions& from) {
  check_fraction("BatchNorm", "alpha", from.alpha, from.where);
  return {.axis = from.axes,
          .epsilon = from.epsilon,
          .momentum = 1 - from.alpha,
          .running_variance = RunningVariance::inverse_std,
          .weight_init = stretched(from.gamma),
          .bias_init = stretched(from.beta),
          .running_mean_init = stretched(from.running_mean),
          .running_var_init = stretched(from.running_inv_std),
          .where = from.where};
}

BatchNorm::Options options_of(const TorchBatchNormOptions& from) {
  std::optional<double> momentum;
  if (from.momentum) {
    check_fraction("BatchNorm", "momentum", *from.momentum, from.where);
    momentum = torch_momentum(*from.momentum);
  }
  return {.num_features = from.num_features,
          .epsilon = from.eps,
          .momentum = momentum,
          .track_running_stats = from.track_running_stats,
          .running_variance = RunningVariance::unbiased,
          .affine = from.affine,
          .where = from.where};
}

}  // namespace detail
}  // namespace tapestry
