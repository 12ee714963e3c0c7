#include "layers/batch_norm.h"

#include <fmt/format.h>

#include "autodiff/ops/reshape.h"
#include "kernels/error.h"

namespace tapestry::detail {

void BatchNorm::visit(Visitor& v) {
  visit_affine(*this, v);
  if (!options.track_running_stats) return;
  v("running_mean", running_mean);
  v(options.running_variance == RunningVariance::inverse_std ? "running_inv_std" : "running_var", running_var);
  v("num_batches_tracked", num_batches_tracked);
}

// Along which parameters and statistics lie: what the user named, or all that `axis`, which is reduced, leaves.
Axes BatchNorm::features(int rank) const {
  const Axes named = options.feature_axes.count() > 0 ? options.feature_axes : Axes(-1);
  if (options.axis.count() == 0) return named;
  const Axes rest = other_axes(rank, canonical(name_, "axis", options.axis, rank, options.where));
  if (rest.count() == 0)
    fail<ShapeError>(
        options.where, name_,
        fmt::format("axis is {}, which leaves no feature axis of {}D input", to_string(options.axis), rank));
  if (options.feature_axes.count() == 0) return rest;
  const Axes wanted = canonical(name_, "feature_axes", named, rank, options.where);
  if (wanted != rest)
    fail<ShapeError>(options.where, name_,
                     fmt::format("axis must be all but the feature axes; they are {} and {} of {}D input",
                                 to_string(options.axis), to_string(named), rank));
  return named;
}

void BatchNorm::check_sample(const Shape& sample) const {
  if (options.in_size.rank() > 0 && sample != options.in_size)
    fail<ShapeError>(options.where, name_,
                     fmt::format("in_size is {}, a sample is {}", to_string(options.in_size), to_string(sample)));
}

Flow BatchNorm::build(Builder& b, const Flow& in) {
  check_numbers(name_, options.epsilon, options.dtype, options.where);
  check_rank_option(name_, options.rank, lowest_, highest_, options.where);
  if (options.momentum) check_fraction(name_, "momentum", *options.momentum, options.where);
  const Flow flow = in.shape || options.in_size.rank() == 0 ? in : Flow(options.in_size);
  if (flow.shape) {
    check_rank(name_, flow.shape->rank() + 1, lowest(), highest(), *flow.shape, options.where);
    check_sample(*flow.shape);
  }
  const Shape features =
      channel_sizes(name_, "num_features", options.num_features,
                    this->features(flow.shape ? flow.shape->rank() + 1 : highest()), b, flow, options.where);
  build_affine(*this, b, in, features);
  if (!options.track_running_stats) return in;
  b.buffer(running_mean, features, options.running_mean_init, b.dtype(), flattened_for(features, in));
  b.buffer(running_var, features, options.running_var_init, b.dtype(), flattened_for(features, in));
  b.buffer(num_batches_tracked, {}, 0, DType::int64);
  return in;
}

Cost BatchNorm::cost(const Shape&, const Shape& out) const { return layer_cost(*this, out, kCenteredNorm); }

void BatchNorm::check_input(const Var& x) const {
  const Shape& shape = x.shape();
  if (const int unbatched = options.in_size.rank(); unbatched > 0) {
    if (shape.rank() != unbatched && shape.rank() != unbatched + 1)
      fail<ShapeError>(
          options.where, name_,
          fmt::format("expected {}D or {}D (unbatched) input (got {}D input)", unbatched + 1, unbatched, shape.rank()));
    check_sample(shape.rank() == unbatched ? shape : shape.drop_front());
  }
  check_rank(name_, shape.rank(), lowest(), highest(), shape, options.where);
  check_channels(name_, "num_features", options.num_features, features(shape.rank()), shape, options.where);
}

Var BatchNorm::operator()(const Var& x, Mode mode, const Tensor& mask, const Tail& tail) const {
  return hand_tail(part(), tail, [&](Tail taken) {
    const Shape& sample = options.in_size;
    if (sample.rank() == 0 || x.shape() != sample) return normalize(x, mode, mask, taken);
    const Location& where = options.where;
    const Shape batched = sample.prepend(1);
    if (taken.residual.value()) {
      if (taken.residual.shape() != sample)
        fail<ShapeError>(where, name_,
                         fmt::format("residual is {}, it is added to {}; both must be equal",
                                     to_string(taken.residual.shape()), to_string(sample)));
      taken.residual = reshape(taken.residual, batched, where);
    }
    return reshape(normalize(reshape(x, batched, where), mode, mask, taken), sample, where);
  });
}

Var BatchNorm::normalize(const Var& x, Mode mode, const Tensor& mask, const Tail& taken) const {
  check_input(x);
  const bool tracks = options.track_running_stats;
  if (tracks) require_built(running_mean, name_, options.where);
  auto o = common<BatchNormOptions>(options, mask, taken);
  o.training = mode == Mode::train || !tracks;
  if (tracks) {
    o.running_mean = &running_mean;
    o.running_var = &running_var;
    o.num_batches_tracked = &num_batches_tracked;
  }
  o.momentum = options.momentum;
  o.running_variance = options.running_variance;
  o.feature_axes = features(x.shape().rank());
  o.pool = taken.pool;
  return batch_norm(x, affine_on(weight, has_weight(), x, name_, options.where),
                    affine_on(bias, has_bias(), x, name_, options.where), o);
}

}  // namespace tapestry::detail
