// RMSprop.
#pragma once

#include <cmath>

#include "kernels/update/rmsprop.h"
#include "optim/optimizer.h"

namespace tapestry {

struct RMSpropOptions {
  double lr = 1e-2;
  double alpha = 0.99;  // weight of the old mean square, in [0, 1)
  double eps = 1e-8;
  double weight_decay = 0;
  double momentum = 0;
  bool centered = false;
  double clip_norm = 0;        // gradients whose L2 norm over all parameters is larger are scaled to it; 0: never
  bool check_finite = true;    // a NaN or infinity among the gradients stops the step before anything changes
  bool allow_missing = false;  // leave parameters alone that got no gradient, instead of an error
  Location where = std::source_location::current();
};

namespace detail {
struct RMSpropMethod {
  using Options = RMSpropOptions;
  static constexpr const char* kName = "RMSprop";

  static void check(const Options& o, const OptionCheck& require) {
    require(o.alpha >= 0 && o.alpha < 1, "alpha must be in [0, 1)", o.alpha);
    require_divisor(require, o.eps);
    require(std::isfinite(o.momentum) && o.momentum >= 0, "momentum must be finite and not negative", o.momentum);
  }
  static StateNames state_names(const Options& o) {
    return {"square_avg", o.momentum == 0 ? nullptr : "momentum_buffer", o.centered ? "grad_avg" : nullptr};
  }
  static kernels::RmspropStep step(const Options& o, std::int64_t, double scale) {
    return {o.lr, o.alpha, o.eps, o.momentum, o.weight_decay, scale};
  }
};
}  // namespace detail

// torch.optim.RMSprop: v = alpha v + (1 - alpha) d^2, d = g + weight_decay w; q = d / (sqrt(v) + eps), and w -= lr q,
// with momentum w -= lr b, b = momentum b + q. Centered, the square of a running mean of d is taken away from v.
// Hinton, lecture 6e, 2012; Graves 2013. State: "square_avg", with momentum "momentum_buffer", centered "grad_avg".
using RMSprop = Optimizer<detail::RMSpropMethod>;

}  // namespace tapestry
