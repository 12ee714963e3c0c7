// What all optimizers are.
#pragma once

#include <utility>

#include "optim/flat_parameters.h"

namespace tapestry {

// Method, one of the structs of sgd.h and its neighbours, has what makes an optimizer of its own: its Options, kName,
// check(options, require), state_names(options), and step(options, number, scale), the numbers of one update for
// kernels::update(). The parameters in blocks, all checks, clipping, the state and its names are those of every one.
template <class M>
class Optimizer {
 public:
  using Method = M;
  using Options = typename M::Options;

  // ArgumentError for a value outside its rule, and as detail::FlatParameters.
  explicit Optimizer(const ParameterList& parameters, Options options = {})
      : options_(std::move(options)),
        flat_(M::kName, parameters, checked(options_), options_.where, M::state_names(options_)) {}

  // Updates the parameters and commits queued buffers. ArgumentError, which names it, for a trainable parameter without
  // a gradient, NumericError for a gradient that is not finite: then weights, state and buffers are as before.
  void step(Gradients& gradients) {
    flat_.step(gradients, [this](const kernels::Device& device, std::int64_t number, double scale, const auto& piece) {
      update(device, M::step(options_, number, scale), piece);
    });
  }
  void step(Gradients&& gradients) { step(gradients); }

  double lr() const { return options_.lr; }
  void set_lr(double lr) {
    detail::require_rate({M::kName, options_.where}, lr);
    options_.lr = lr;
  }
  std::int64_t steps() const { return flat_.steps(); }
  double last_norm() const { return flat_.last_norm(); }  // of the gradients, before clipping; 0 without clip_norm

  // "<name of a state>/<parameter>" and "step/<parameter>", the number of its updates: what load_state() of the same
  // kind of optimizer takes. It refuses, changing nothing, what does not fit.
  std::vector<NamedTensor> state() const { return flat_.state(); }
  void load_state(std::span<const NamedTensor> entries) { flat_.load_state(entries); }

 private:
  static detail::StepRules checked(const Options& o) {
    const detail::StepRules rules{o.clip_norm, o.check_finite, o.allow_missing};
    const detail::OptionCheck require{M::kName, o.where};
    detail::require_rate(require, o.lr);
    detail::require_rules(require, o.weight_decay, rules);
    M::check(o, require);
    return rules;
  }

  Options options_;
  detail::FlatParameters flat_;
};

}  // namespace tapestry
