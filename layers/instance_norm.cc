#include "layers/instance_norm.h"

#include <fmt/format.h>

#include "kernels/error.h"

namespace tapestry {

Flow InstanceNorm::build(Builder& b, const Flow& in) {
  detail::check_numbers(name_, options.epsilon, options.dtype, options.where);
  if (in.shape && rank_ > 0) detail::check_rank(name_, in.shape->rank() + 1, rank_, rank_, *in.shape, options.where);
  const Shape features =
      detail::channel_sizes(name_, "num_features", options.num_features, options.feature_axes, b, in, options.where);
  detail::build_affine(*this, b, in, features);
  return in;
}

Cost InstanceNorm::cost(const Shape&, const Shape& out) const {
  return detail::layer_cost(*this, out, detail::kCenteredNorm);
}

Var InstanceNorm::operator()(const Var& x, const Tensor& mask, const Tail& tail) const {
  if (rank_ > 0) detail::check_rank(name_, x.shape().rank(), rank_, rank_, x.shape(), options.where);
  detail::check_channels(name_, "num_features", options.num_features, options.feature_axes, x.shape(), options.where);
  return detail::hand_tail(part(), tail, [&](const Tail& taken) {
    auto o = detail::common<InstanceNormOptions>(options, mask, taken);
    o.feature_axes = options.feature_axes;
    o.pool = taken.pool;
    return instance_norm(x, detail::affine_on(weight, has_weight(), x, name_, options.where),
                         detail::affine_on(bias, has_bias(), x, name_, options.where), o);
  });
}

}  // namespace tapestry
