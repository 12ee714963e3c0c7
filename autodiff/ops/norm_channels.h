// What group, instance and batch norm share; not part of the public interface.
#pragma once

#include "autodiff/ops/norm_inputs.h"
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

// stats [batch, groups, 2] are written, or read where they are frozen.
Var channel_norm(const char* op, const kernels::ChannelNormDims& dims, const NormOperands& in, const Var& residual,
                 Tensor stats, const Location& where);

// New statistics for channel_norm.
Tensor channel_stats(const kernels::ChannelNormDims& dims, const Var& x);

}  // namespace tapestry::detail
