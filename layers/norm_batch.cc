#include "layers/norm_batch.h"

#include <fmt/format.h>

#include "autodiff/ops/norm_inputs.h"
#include "kernels/error.h"

namespace tapestry::detail {

void BatchNorm::visit(Visitor& v) {
  visit_affine(*this, v);
  if (!options.track_running_stats) return;
  v("running_mean", running_mean);
  v("running_var", running_var);
  v("num_batches_tracked", num_batches_tracked);
}

Flow BatchNorm::build(Builder& b, const Flow& in) {
  check_epsilon(name_, options.epsilon, options.where);
  if (options.momentum && !(*options.momentum >= 0 && *options.momentum <= 1))
    fail<ArgumentError>(options.where, name_, fmt::format("momentum is {}, it must be in [0, 1]", *options.momentum));
  if (in.shape) check_rank(name_, in.shape->rank() + 1, lowest_, highest_, *in.shape, options.where);
  const Shape channels{b.size("num_features", options.num_features, in, -1, options.where)};
  build_affine(*this, b, in, channels);
  if (!options.track_running_stats) return in;
  b.buffer(running_mean, channels, 0, b.dtype(), in.flattened);
  b.buffer(running_var, channels, 1, b.dtype(), in.flattened);
  b.buffer(num_batches_tracked, {}, 0, DType::int64);
  return in;
}

Cost BatchNorm::cost(const Shape&, const Shape& out) const {
  return norm_cost(out, 6 + (options.weight ? 1 : 0) + (options.bias ? 1 : 0));
}

Var BatchNorm::operator()(const Var& x, Mode mode, const Tail& tail) const {
  check_rank(name_, x.shape().rank(), lowest_, highest_, x.shape(), options.where);
  const bool tracks = options.track_running_stats;
  if (tracks) require_built(running_mean, name_, options.where);
  return batch_norm(x, affine_on(weight, options.weight, x, name_, options.where),
                    affine_on(bias, options.bias, x, name_, options.where),
                    {.training = mode == Mode::train || !tracks,
                     .running_mean = tracks ? &running_mean : nullptr,
                     .running_var = tracks ? &running_var : nullptr,
                     .num_batches_tracked = tracks ? &num_batches_tracked : nullptr,
                     .momentum = options.momentum ? std::optional(torch_momentum(*options.momentum)) : std::nullopt,
                     .running_variance = options.running_variance,
                     .epsilon = options.epsilon,
                     .activation = either(options.activation, tail),
                     .residual = tail.residual,
                     .where = options.where});
}

}  // namespace tapestry::detail
