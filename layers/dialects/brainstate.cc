#include "layers/dialects/brainstate.h"

#include "layers/dialects/words.h"

namespace tapestry::brainstate {
namespace {

using detail::stretched;

// Axes of `size`, counted from its end: the same in x, whether `size` has a batch or not.
Axes from_end(std::string_view layer, const Axes& axes, const Shape& size, const Location& where) {
  Axes found;
  for (const int axis : detail::canonical(layer, "feature axes", axes, size.rank(), where))
    found.add(axis - size.rank());
  return found;
}

template <class Layer>
Layer batch_norm(const BatchNormOptions& from) {
  return Layer({.in_size = from.in_size,
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
                .where = from.where});
}

// What LayerNorm and RMSNorm have in common.
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

GroupNorm group_norm(const GroupNormOptions& from) {
  const Axes feature = from_end("GroupNorm", from.feature_axis, from.in_size, from.where);
  GroupNorm::Options to{.num_channels = from.in_size[feature[0]],
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
  detail::set_groups(to, from);
  return GroupNorm(std::move(to));
}

BatchNorm0d batch_norm0d(const BatchNormOptions& options) { return batch_norm<BatchNorm0d>(options); }
BatchNorm1d batch_norm1d(const BatchNormOptions& options) { return batch_norm<BatchNorm1d>(options); }
BatchNorm2d batch_norm2d(const BatchNormOptions& options) { return batch_norm<BatchNorm2d>(options); }
BatchNorm3d batch_norm3d(const BatchNormOptions& options) { return batch_norm<BatchNorm3d>(options); }

LayerNorm layer_norm(const LayerNormOptions& from) {
  auto to = row_options<LayerNorm::Options>("LayerNorm", from);
  to.bias = from.use_bias;
  to.bias_init = stretched(from.bias_init);
  return LayerNorm(std::move(to));
}

RMSNorm rms_norm(const RmsNormOptions& from) { return RMSNorm(row_options<RMSNorm::Options>("RMSNorm", from)); }

}  // namespace tapestry::brainstate
