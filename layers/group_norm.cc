#include "layers/group_norm.h"

#include <fmt/format.h>

#include "autodiff/ops/group_norm_sizes.h"
#include "kernels/error.h"

namespace tapestry {

GroupNorm::GroupNorm(std::int64_t num_groups, Location where) : GroupNorm(Options{.where = where}) {
  if (num_groups < 1)
    fail<ArgumentError>(where, "GroupNorm", fmt::format("num_groups must be positive; it is {}", num_groups));
  options.num_groups = num_groups;
}

std::int64_t GroupNorm::groups_of(std::int64_t channels) const {
  return detail::groups_of("GroupNorm", options.num_groups, options.group_size, channels, {}, options.where);
}

Axes GroupNorm::reduction_axes(int rank) const {
  if (options.axis.count() == 0) return options.reduction_axes;
  if (options.reduction_axes.count() > 0)
    fail<ArgumentError>(options.where, "GroupNorm", "give either axis or reduction_axes");
  if (options.feature_axes.count() != 1 || (options.feature_axes[0] != -1 && options.feature_axes[0] != rank - 1))
    fail<ArgumentError>(options.where, "GroupNorm", "axis needs channels that lie last; say .reduction_axes");
  // Counted in the view [N, d1..dk, groups, group_size], whose last axis is normalized anyway.
  Axes reduced;
  for (const int axis : detail::canonical("GroupNorm", "axis", options.axis, rank + 1, options.where)) {
    if (axis == 0 || axis == rank - 1)
      fail<ShapeError>(options.where, "GroupNorm",
                       fmt::format("axis is {}, whose {} is that of the {}; it takes the positions from 1 to {}",
                                   to_string(options.axis), axis, axis == 0 ? "batch" : "groups", rank - 2));
    if (axis < rank) reduced.add(axis);
  }
  reduced.add(rank - 1);
  return reduced;
}

// The shape of weight and bias.
Shape GroupNorm::affine_shape(const Shape& channels, std::int64_t groups, const Flow& in) const {
  if (options.affine == AffineShape::per_channel) return channels;
  if (!in.shape)
    fail<ShapeError>(options.where, "GroupNorm",
                     "weight and bias per position need the shape of the input: start the model with Input{...}");
  const int rank = in.shape->rank() + 1;
  const Axes features = detail::canonical("GroupNorm", "feature_axes", options.feature_axes, rank, options.where);
  Axes reduced = detail::canonical("GroupNorm", "reduction_axes", reduction_axes(rank), rank, options.where);
  if (reduced.count() == 0) reduced = detail::other_axes(rank, 0);
  if (reduced.contains(0))
    fail<ShapeError>(options.where, "GroupNorm",
                     fmt::format("weight and bias per position cannot lie along the batch; reduction_axes is {}",
                                 to_string(options.reduction_axes)));
  return detail::sizes_per_position(in.shape->prepend(1), features, reduced, groups);
}

Flow GroupNorm::build(Builder& b, const Flow& in) {
  detail::check_numbers("GroupNorm", options.epsilon, options.dtype, options.where);
  detail::check_rank_option("GroupNorm", options.rank, 2, 5, options.where);
  if (in.shape && options.rank > 0)
    detail::check_rank("GroupNorm", in.shape->rank() + 1, options.rank, options.rank, *in.shape, options.where);
  const Shape channels = detail::channel_sizes("GroupNorm", "num_channels", options.num_channels, options.feature_axes,
                                               b, in, options.where);
  const std::int64_t groups = groups_of(channels.size());
  if (in.shape)
    detail::canonical("GroupNorm", "reduction_axes", reduction_axes(in.shape->rank() + 1), in.shape->rank() + 1,
                      options.where);
  detail::build_affine(*this, b, in, affine_shape(channels, groups, in));
  return in;
}

Cost GroupNorm::cost(const Shape&, const Shape& out) const {
  return detail::layer_cost(*this, out, detail::kCenteredNorm);
}

Var GroupNorm::operator()(const Var& x, const Tensor& mask, const Tail& tail) const {
  if (options.rank > 0)
    detail::check_rank("GroupNorm", x.shape().rank(), options.rank, options.rank, x.shape(), options.where);
  detail::check_channels("GroupNorm", "num_channels", options.num_channels, options.feature_axes, x.shape(),
                         options.where);
  return detail::hand_tail(part(), tail, [&](const Tail& taken) {
    auto o = detail::common<GroupNormOptions>(options, mask, taken);
    o.num_groups = options.num_groups;
    o.group_size = options.group_size;
    o.reduction_axes = reduction_axes(x.shape().rank());
    o.feature_axes = options.feature_axes;
    o.affine = options.affine;
    o.pool = taken.pool;
    return group_norm(x, detail::affine_on(weight, has_weight(), x, "GroupNorm", options.where),
                      detail::affine_on(bias, has_bias(), x, "GroupNorm", options.where), o);
  });
}

}  // namespace tapestry
