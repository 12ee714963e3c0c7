// What group, instance and batch norm share; not part of the public interface.
#pragma once

#include "autodiff/ops/norm_operands.h"
#include "autodiff/ops/pool.h"
#include "kernels/norm_channels.h"

namespace tapestry::detail {

// x with its feature axes taken together as the last: [others..., C].
class FeaturesLast {
 public:
  FeaturesLast(const Shape& x, const Axes& features);

  const Shape& shape() const { return shape_; }
  std::int64_t channels() const { return shape_[-1]; }
  bool moves() const { return moves_; }
  Var operator()(const Var& x, const Location& where) const;
  Var back(const Var& y, const Location& where) const;

 private:
  Axes order_, inverse_;
  Shape original_, shape_;
  bool moves_;
};

// stats [batch, groups, 2] are written, or read where they are frozen. With windows for which pools_too() holds, x is
// as it was given, and y is pooled.
Var channel_norm(const char* op, const kernels::ChannelNormDims& dims, const NormOperands& in, const Var& residual,
                 Tensor stats, const PoolWindows& windows, const CallOptions& options);

// Whether the norm of x can take the largest of each window in its own pass.
bool pools_too(const Var& x, const Axes& features, const PoolWindows& windows);
// The same for a norm with these operands and options.
template <class Options>
bool pools_too(const Var& x, const Var& weight, const Var& bias, const Axes& features, const Options& o) {
  const auto one_type = [&](const Var& v) { return !v.value() || v.dtype() == x.dtype(); };
  return !o.mask && o.replicas == nullptr && !o.residual.value() && one_type(weight) && one_type(bias) &&
         o.dtype.value_or(x.dtype()) == x.dtype() &&
         (o.activation == Activation::none || o.activation == Activation::relu) && pools_too(x, features, o.pool);
}

// New statistics for channel_norm.
Tensor channel_stats(const kernels::ChannelNormDims& dims, const Var& x);

}  // namespace tapestry::detail
