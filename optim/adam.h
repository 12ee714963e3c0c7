// Adam and AdamW.
#pragma once

#include <array>

#include "kernels/update/adam.h"
#include "optim/optimizer.h"

namespace tapestry {

struct AdamOptions {
  double lr = 1e-3;
  std::array<double, 2> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 0;
  bool amsgrad = false;
  double clip_norm = 0;        // gradients whose L2 norm over all parameters is larger are scaled to it; 0: never
  bool check_finite = true;    // a NaN or infinity among the gradients stops the step before anything changes
  bool allow_missing = false;  // leave parameters alone that got no gradient, instead of an error
  Location where = std::source_location::current();
};

struct AdamWOptions {
  double lr = 1e-3;
  std::array<double, 2> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 1e-2;
  bool amsgrad = false;
  double clip_norm = 0;
  bool check_finite = true;
  bool allow_missing = false;
  Location where = std::source_location::current();
};

namespace detail {
template <class O, bool kDecoupled>
struct AdamMethod {
  using Options = O;
  static constexpr const char* kName = kDecoupled ? "AdamW" : "Adam";

  static void check(const Options& o, const OptionCheck& require) {
    for (const double beta : o.betas) require(beta >= 0 && beta < 1, "betas must be in [0, 1)", beta);
    require_divisor(require, o.eps);
  }
  static StateNames state_names(const Options& o) {
    return {"exp_avg", "exp_avg_sq", o.amsgrad ? "max_exp_avg_sq" : nullptr};
  }
  static kernels::AdamStep step(const Options& o, std::int64_t number, double scale) {
    return {o.lr, o.betas[0], o.betas[1], o.eps, o.weight_decay, scale, kDecoupled, number};
  }
};
}  // namespace detail

// torch.optim.Adam: m and v are running means of d = g + weight_decay w and d^2, corrected for their start at zero;
// w -= lr m / (sqrt(v) + eps). AMSGrad takes the largest v so far. Kingma and Ba, ICLR 2015; Reddi et al., ICLR 2018.
// State: "exp_avg", "exp_avg_sq", with amsgrad "max_exp_avg_sq".
using Adam = Optimizer<detail::AdamMethod<AdamOptions, false>>;

// torch.optim.AdamW: Adam whose weight decay acts on the weight itself, w -= lr weight_decay w, not on the gradient.
// Loshchilov and Hutter, ICLR 2019.
using AdamW = Optimizer<detail::AdamMethod<AdamWOptions, true>>;

}  // namespace tapestry
