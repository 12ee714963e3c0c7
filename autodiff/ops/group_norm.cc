#include "autodiff/ops/group_norm.h"

#include "autodiff/ops/channel_norm.h"
#include "autodiff/ops/group_norm_sizes.h"
#include "autodiff/ops/normalize.h"
#include "autodiff/ops/reshape.h"

namespace tapestry {
namespace {

using detail::FeaturesLast;
using detail::NormOperands;

// Whatever of GroupNormOptions the two norms here have, resolved for x.
struct Groups {
  Axes features, reduced;  // of x
  std::int64_t count;
  bool per_position = false;

  std::int64_t size(const Shape& x) const { return detail::sizes_of(x, features).size() / count; }
  // Whether every sample is one set for each group.
  bool whole_samples(int rank) const { return reduced.count() == rank - 1 && !reduced.contains(0); }
};

Axes checked_features(const char* op, const Axes& given, const Shape& x, const Location& where) {
  const Axes features = detail::rising_axes(op, "feature_axes", given, x, where);
  if (features.count() == 0 || features.count() == x.rank() || detail::sizes_of(x, features).size() == 0)
    fail<ShapeError>(where, op, fmt::format("x must be [N, ..., C] with at least one channel; it is {}", to_string(x)));
  if (features[0] == 0)
    fail<ShapeError>(where, op, fmt::format("axis 0 of x {} is the batch, it cannot be a feature axis", to_string(x)));
  return features;
}

// x [others..., C] as [others..., G, S], and what lies beside it in that view. Where sets are whole samples, the other
// axes but the first are one.
struct GroupView {
  GroupView(const char* op, const Groups& groups, const Shape& x, const Location& where) {
    const auto add = [&](std::int64_t size, std::int64_t of_weight, bool reduced) {
      if (shape.rank() == Shape::kMaxRank)
        fail<ShapeError>(where, op, fmt::format("x may have 5 axes at most for such groups; it is {}", to_string(x)));
      if (reduced) axes.add(shape.rank());
      shape = shape.append(size);
      affine = affine.append(of_weight);
    };
    const std::int64_t size = groups.size(x);
    if (groups.whole_samples(x.rank())) {
      std::int64_t positions = 1;
      for (int axis : detail::other_axes(x.rank(), groups.features))
        if (axis > 0) positions *= x[axis];
      add(x[0], 1, false);
      add(positions, groups.per_position ? positions : 1, true);
    } else {
      for (int axis : detail::other_axes(x.rank(), groups.features)) {
        const bool reduced = groups.reduced.contains(axis);
        add(x[axis], groups.per_position && reduced ? x[axis] : 1, reduced);
      }
    }
    add(groups.count, groups.per_position ? 1 : groups.count, false);
    add(size, size, true);
  }
  Shape shape, affine;
  Axes axes;
};

// By the kernel for channels, without mask and replicas.
template <class Options>
Var channel_groups(const char* op, const Groups& groups, const NormOperands& in, const Options& o) {
  const FeaturesLast last(in.x.shape(), groups.features);
  const Shape& sizes = last.shape();
  kernels::ChannelNormDims dims{.batch = static_cast<std::size_t>(sizes[0]),
                                .positions = static_cast<std::size_t>(sizes.product(1, sizes.rank() - 1)),
                                .channels = static_cast<std::size_t>(sizes[-1]),
                                .groups = static_cast<std::size_t>(groups.count),
                                .epsilon = o.epsilon,
                                .two_pass = !o.use_fast_variance};
  NormOperands flat = in;
  flat.take(last(in.x, o.where), Shape{sizes[-1]}, o.where);
  const auto norm = [&](const Var& residual, bool relu, const CallOptions& options) {
    dims.relu = relu;
    return channel_norm(op, dims, flat, residual, detail::channel_stats(dims, flat.x), o.pool, options);
  };
  if (!last.moves()) return detail::with_tail(flat.x, o, norm);
  return detail::finished(last.back(norm({}, false, o.where), o.where), o.dtype, o.residual, o.activation, o.where);
}

template <class Options>
Var normalize_groups(const char* op, const Groups& groups, const Var& given, const Var& weight, const Var& bias,
                     const Options& o) {
  const Shape& shape = given.shape();
  detail::check_epsilon(op, o.epsilon, o.where);
  const Shape affine = groups.per_position
                           ? detail::sizes_per_position(shape, groups.features, groups.reduced, groups.count)
                           : detail::sizes_of(shape, groups.features);
  detail::check_beside(op, "weight", weight, given, affine, o.where);
  detail::check_beside(op, "bias", bias, given, affine, o.where);
  detail::check_beside(op, "residual", o.residual, given, shape, o.where);
  detail::check_mask(op, o.mask, shape, o.where);
  const bool whole = groups.whole_samples(shape.rank()) && !groups.per_position && !o.mask && o.replicas == nullptr;
  if (o.pool.axes != 0 && !(whole && detail::pools_too(given, weight, bias, groups.features, o))) {
    Options rest = o;
    rest.pool = {};
    return max_pool(normalize_groups(op, groups, given, weight, bias, rest), o.pool);
  }
  const NormOperands in(given, weight, bias, o.where);
  if (whole) return channel_groups(op, groups, in, o);
  const GroupView view(op, groups, shape, o.where);
  const detail::ReplicaMean replicas(given, o.replicas, op, o.where);
  const FeaturesLast last(shape, groups.features);
  const Var x = last(in.x, o.where);
  NormOperands viewed = in;
  viewed.take(reshape(x, view.shape, o.where), view.affine, o.where);
  Tensor mask = detail::whole_mask(o.mask, in.x, o.where);
  if (mask) mask = last(x.constant(mask), o.where).value().reshape(view.shape);
  const Var y =
      detail::normalize(
          viewed.x, viewed.weight, viewed.bias,
          {.op = op, .axes = view.axes, .epsilon = o.epsilon, .mask = mask, .replicas = replicas, .where = o.where})
          .y;
  return detail::finished(last.back(reshape(y, x.shape(), o.where), o.where), o.dtype, o.residual, o.activation,
                          o.where);
}

}  // namespace

Var group_norm(const Var& x, const Var& weight, const Var& bias, const GroupNormOptions& o) {
  detail::check_operands("group_norm", x, o.dtype, o.where);
  const Shape& shape = x.shape();
  Groups groups{.features = checked_features("group_norm", o.feature_axes, shape, o.where),
                .reduced = detail::last_axes(shape.rank(), shape.rank() - 1),
                .count = 1,
                .per_position = o.affine == AffineShape::per_position};
  if (o.reduction_axes.count() > 0) {
    groups.reduced = detail::rising_axes("group_norm", "reduction_axes", o.reduction_axes, shape, o.where);
    for (int axis : groups.features)
      if (!groups.reduced.contains(axis))
        fail<ShapeError>(o.where, "group_norm",
                         fmt::format("reduction_axes must name the feature axes, axis {} is not there; x is {}", axis,
                                     to_string(shape)));
  }
  groups.count = detail::groups_of("group_norm", o.num_groups, o.group_size,
                                   detail::sizes_of(shape, groups.features).size(), shape, o.where);
  return normalize_groups("group_norm", groups, x, weight, bias, o);
}

Var group_norm(const Var& x, const GroupNormOptions& options) { return group_norm(x, {}, {}, options); }

Var instance_norm(const Var& x, const Var& weight, const Var& bias, const InstanceNormOptions& o) {
  detail::check_operands("instance_norm", x, o.dtype, o.where);
  const Shape& shape = x.shape();
  const Axes features = checked_features("instance_norm", o.feature_axes, shape, o.where);
  const std::int64_t channels = detail::sizes_of(shape, features).size();
  if (shape[0] > 0 && shape.size() == shape[0] * channels && features.count() == 1)
    fail<ShapeError>(o.where, "instance_norm",
                     fmt::format("a sample needs more than one position; x is {}", to_string(shape)));
  const Groups groups{
      .features = features, .reduced = detail::last_axes(shape.rank(), shape.rank() - 1), .count = channels};
  return normalize_groups("instance_norm", groups, x, weight, bias, o);
}

Var instance_norm(const Var& x, const InstanceNormOptions& options) { return instance_norm(x, {}, {}, options); }

}  // namespace tapestry
