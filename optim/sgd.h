// Stochastic gradient descent.
#pragma once

#include "optim/flat_parameters.h"

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

// torch.optim.SGD: d = g + weight_decay w; with momentum b = momentum b + (1 - dampening) d, where the first b is d,
// and d = b (Nesterov: d + momentum b); w -= lr d.
// ArgumentError for a value outside its rule, and as detail::FlatParameters.
class SGD {
 public:
  explicit SGD(const ParameterList& parameters, SGDOptions options = {});

  // Updates the parameters and commits queued buffers. ArgumentError, which names it, for a trainable parameter without
  // a gradient, NumericError for a gradient that is not finite: then weights, state and buffers are as before.
  void step(Gradients& gradients);
  void step(Gradients&& gradients) { step(gradients); }

  double lr() const { return options_.lr; }
  void set_lr(double lr);
  std::int64_t steps() const { return flat_.steps(); }
  double last_norm() const { return flat_.last_norm(); }  // of the gradients, before clipping; 0 without clip_norm

  // "momentum_buffer/<parameter>" and "step/<parameter>": what load_state() of the same kind of optimizer takes.
  std::vector<NamedTensor> state() const { return flat_.state(); }
  void load_state(std::span<const NamedTensor> entries) { flat_.load_state(entries); }

 private:
  SGDOptions options_;
  detail::FlatParameters flat_;
};

}  // namespace tapestry
