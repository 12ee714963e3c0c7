#include "layers/dialects/brainpy.h"

#include "layers/dialects/words.h"

namespace tapestry::brainpy {

GroupNorm nn::group_norm(const GroupNormOptions& from) {
  GroupNorm::Options to{.epsilon = from.epsilon,
                        .weight = from.use_scale,
                        .bias = from.use_bias,
                        .weight_init = from.gamma_init,
                        .bias_init = from.beta_init,
                        .trainable = from.trainable,
                        .affine = AffineShape::per_position,
                        .axis = from.axis,
                        .where = from.where};
  detail::set_groups(to, from);
  return GroupNorm(std::move(to));
}

namespace layers {
namespace {

template <class Layer>
Layer batch_norm(int rank, const BatchNormOptions& from) {
  return Layer({.num_features = from.num_features,
                .rank = rank,
                .axis = from.axis,
                .feature_axes = -1,
                .epsilon = from.epsilon,
                .momentum = from.momentum,
                .affine = from.affine,
                .weight_init = from.scale_initializer,
                .bias_init = from.bias_initializer,
                .replicas = {from.axis_name, from.axis_index_groups},
                .where = from.where});
}

}  // namespace

BatchNorm0d batch_norm0d(const BatchNormOptions& options) { return batch_norm<BatchNorm0d>(2, options); }
BatchNorm1d batch_norm1d(const BatchNormOptions& options) { return batch_norm<BatchNorm1d>(3, options); }
BatchNorm2d batch_norm2d(const BatchNormOptions& options) { return batch_norm<BatchNorm2d>(4, options); }
BatchNorm3d batch_norm3d(const BatchNormOptions& options) { return batch_norm<BatchNorm3d>(5, options); }

GroupNorm group_norm(const GroupNormOptions& from) {
  return GroupNorm({.num_groups = detail::positive("GroupNorm", "num_groups", from.num_groups, from.where),
                    .num_channels = from.num_channels,
                    .epsilon = from.epsilon,
                    .weight = from.affine,
                    .bias = from.affine,
                    .weight_init = from.scale_initializer,
                    .bias_init = from.bias_initializer,
                    .where = from.where});
}

InstanceNorm instance_norm(const InstanceNormOptions& from) {
  return InstanceNorm({.num_features = from.num_channels,
                       .epsilon = from.epsilon,
                       .weight = from.affine,
                       .bias = from.affine,
                       .weight_init = from.scale_initializer,
                       .bias_init = from.bias_initializer,
                       .where = from.where});
}

LayerNorm layer_norm(const LayerNormOptions& from) {
  if (from.normalized_shape.rank() == 0)
    fail<ArgumentError>(from.where, "LayerNorm", "normalized_shape must have at least one axis");
  return LayerNorm({.normalized_shape = from.normalized_shape,
                    .epsilon = from.epsilon,
                    .elementwise_affine = from.elementwise_affine,
                    .weight_init = from.scale_initializer,
                    .bias_init = from.bias_initializer,
                    .where = from.where});
}

}  // namespace layers
}  // namespace tapestry::brainpy
