#include "optim/sgd.h"

#include <cmath>

#include "kernels/error.h"
#include "kernels/update.h"

namespace tapestry {
namespace {

constexpr const char* kName = "SGD";

detail::StepRules rules(const SGDOptions& options) {
  return {options.clip_norm, options.check_finite, options.allow_missing};
}

SGDOptions checked(const SGDOptions& options) {
  detail::require_rules(kName, options.lr, options.weight_decay, rules(options), options.where);
  detail::require_option(std::isfinite(options.momentum) && options.momentum >= 0, options.where, kName,
                         "momentum must be finite and not negative", options.momentum);
  detail::require_option(std::isfinite(options.dampening), options.where, kName, "dampening must be finite",
                         options.dampening);
  if (options.nesterov) {
    detail::require_option(options.momentum > 0, options.where, kName, "nesterov needs momentum > 0", options.momentum);
    detail::require_option(options.dampening == 0, options.where, kName, "nesterov needs dampening = 0",
                           options.dampening);
  }
  return options;
}

std::vector<std::string> state_names(const SGDOptions& options) {
  if (options.momentum == 0) return {};
  return {"momentum_buffer"};
}

}  // namespace

SGD::SGD(const ParameterList& parameters, SGDOptions options)
    : options_(checked(options)), flat_(kName, parameters, rules(options), options.where, state_names(options)) {}

void SGD::step(Gradients& gradients) {
  flat_.step(gradients, [this]<class T>(const kernels::Device& device, const detail::UpdatePiece<T>& piece) {
    const kernels::SgdStep step{options_.lr, options_.momentum, options_.dampening, options_.weight_decay,
                                piece.scale, options_.nesterov, piece.step == 1};
    kernels::sgd(device, step, piece.gradient, piece.state[0], piece.weight);
  });
}

void SGD::set_lr(double lr) {
  detail::require_rules(kName, lr, options_.weight_decay, rules(options_), options_.where);
  options_.lr = lr;
}

}  // namespace tapestry
