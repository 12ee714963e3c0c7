// Adam and AdamW.
#pragma once

#include "optim/flat_parameters.h"

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

// torch.optim.Adam: m and v are running means of d = g + weight_decay w and d^2, corrected for their start at zero;
// w -= lr m / (sqrt(v) + eps). AMSGrad takes the largest v so far. Kingma and Ba, ICLR 2015; Reddi et al., ICLR 2018.
// ArgumentError for a value outside its rule, and as detail::FlatParameters.
class Adam {
 public:
  explicit Adam(const ParameterList& parameters, AdamOptions options = {}) : Adam("Adam", parameters, options, false) {}

  // Updates the parameters and commits queued buffers. ArgumentError, which names it, for a trainable parameter without
  // a gradient, NumericError for a gradient that is not finite: then weights, state and buffers are as before.
  void step(Gradients& gradients);
  void step(Gradients&& gradients) { step(gradients); }

  double lr() const { return options_.lr; }
  void set_lr(double lr);
  std::int64_t steps() const { return flat_.steps(); }
  double last_norm() const { return flat_.last_norm(); }  // of the gradients, before clipping; 0 without clip_norm

  // "exp_avg/<parameter>", "exp_avg_sq/...", with amsgrad "max_exp_avg_sq/...", and "step/...": what load_state()
  // takes.
  std::vector<NamedTensor> state() const { return flat_.state(); }
  void load_state(std::span<const NamedTensor> entries) { flat_.load_state(entries); }

 protected:
  Adam(const char* name, const ParameterList& parameters, const AdamOptions& options, bool decoupled);

 private:
  const char* name_;
  AdamOptions options_;
  bool decoupled_;
  detail::FlatParameters flat_;
};

// torch.optim.AdamW: Adam whose weight decay acts on the weight itself, w -= lr weight_decay w, not on the gradient.
// Loshchilov and Hutter, ICLR 2019.
class AdamW : public Adam {
 public:
  explicit AdamW(const ParameterList& parameters, AdamWOptions options = {});
};

}  // namespace tapestry
