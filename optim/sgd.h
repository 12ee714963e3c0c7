// Stochastic gradient descent.
#pragma once

#include <cmath>

#include "kernels/update/sgd.h"
#include "optim/optimizer.h"

namespace tapestry {

struct SGDOptions {
  double lr = 1e-3;
  double momentum = 0;
  double dampening = 0;
  double weight_decay = 0;
  bool nesterov = false;
  double clip_norm = 0;        // gradients whose L2 norm over all parameters is larger are scaled to it; 0: never
  bool check_finite = true;    // a NaN or infinity among the gradients stops the step before anything changes
  bool allow_missing = false;  // leave parameters alone that got no gradient, instead of an error
  Location where = std::source_location::current();
};

namespace detail {
struct SGDMethod {
  using Options = SGDOptions;
  static constexpr const char* kName = "SGD";

  static void check(const Options& o, const OptionCheck& require) {
    require(std::isfinite(o.momentum) && o.momentum >= 0, "momentum must be finite and not negative", o.momentum);
    require(std::isfinite(o.dampening), "dampening must be finite", o.dampening);
    require(!o.nesterov || o.momentum > 0, "nesterov needs momentum > 0", o.momentum);
    require(!o.nesterov || o.dampening == 0, "nesterov needs dampening = 0", o.dampening);
  }
  static StateNames state_names(const Options& o) { return {o.momentum == 0 ? nullptr : "momentum_buffer"}; }
  static kernels::SgdStep step(const Options& o, std::int64_t number, double scale) {
    return {o.lr, o.momentum, o.dampening, o.weight_decay, scale, o.nesterov, number == 1};
  }
};
}  // namespace detail

// torch.optim.SGD: d = g + weight_decay w; with momentum b = momentum b + (1 - dampening) d, where the first b is d,
// and d = b (Nesterov: d + momentum b); w -= lr d. State: "momentum_buffer", with momentum.
using SGD = Optimizer<detail::SGDMethod>;

}  // namespace tapestry
