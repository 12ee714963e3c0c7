#include "optim/adam.h"

#include <cmath>
#include <limits>

#include "kernels/error.h"
#include "kernels/update.h"

namespace tapestry {
namespace {

detail::StepRules rules(const AdamOptions& options) {
  return {options.clip_norm, options.check_finite, options.allow_missing};
}

AdamOptions checked(const char* name, const AdamOptions& options) {
  detail::require_rules(name, options.lr, options.weight_decay, rules(options), options.where);
  for (double beta : options.betas)
    detail::require_option(beta >= 0 && beta < 1, options.where, name, "betas must be in [0, 1)", beta);
  // A smaller one would be 0 in float32, and 0 / 0 the update of a weight without a gradient.
  detail::require_option(options.eps >= double{std::numeric_limits<float>::min()} && std::isfinite(options.eps),
                         options.where, name, "eps must be finite and at least 1.2e-38", options.eps);
  return options;
}

std::vector<std::string> state_names(const AdamOptions& options) {
  if (options.amsgrad) return {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"};
  return {"exp_avg", "exp_avg_sq"};
}

}  // namespace

Adam::Adam(const char* name, const ParameterList& parameters, const AdamOptions& options, bool decoupled)
    : name_(name),
      options_(checked(name, options)),
      decoupled_(decoupled),
      flat_(name, parameters, rules(options), options.where, state_names(options)) {}

AdamW::AdamW(const ParameterList& parameters, AdamWOptions options)
    : Adam("AdamW", parameters,
           {options.lr, options.betas, options.eps, options.weight_decay, options.amsgrad, options.clip_norm,
            options.check_finite, options.allow_missing, options.where},
           true) {}

void Adam::step(Gradients& gradients) {
  flat_.step(gradients, [this]<class T>(const kernels::Device& device, const detail::UpdatePiece<T>& piece) {
    const kernels::AdamStep step{options_.lr,           options_.betas[0], options_.betas[1], options_.eps,
                                 options_.weight_decay, piece.scale,       decoupled_,        piece.step};
    kernels::adam(device, step, piece.gradient, piece.state[0], piece.state[1], piece.state[2], piece.weight);
  });
}

void Adam::set_lr(double lr) {
  detail::require_rules(name_, lr, options_.weight_decay, rules(options_), options_.where);
  options_.lr = lr;
}

}  // namespace tapestry
