// Gradient descent, as torch.optim.SGD.
#pragma once

#include "kernels/reference/update.h"

namespace tapestry::kernels {

// One update; `scale` multiplies the gradient, `first` starts the momentum from it.
struct SgdStep {
  double lr = 0, momentum = 0, dampening = 0, weight_decay = 0, scale = 1;
  bool nesterov = false, first = false;
};

// What is the same for all elements, in double, and what becomes of one. State: b, the momentum. Without it the
// direction is d; with it b = momentum b + (1 - dampening) d (b = d when `first`), and the direction is b, or
// d + momentum b for Nesterov's form.
struct SgdRule {
  explicit SgdRule(const SgdStep& step)
      : factors{.rate = step.lr, .scale = step.scale, .weight_decay = step.weight_decay},
        momentum(step.momentum),
        keep(step.first ? 0 : step.momentum),
        take(step.first ? 1 : 1 - step.dampening),
        nesterov(step.nesterov) {}

  double operator()(double d, const std::array<double*, 3>& state) const {
    if (state[0] == nullptr) return d;
    double& b = *state[0];
    b = keep * b + take * d;
    return nesterov ? d + momentum * b : b;
  }

  UpdateFactors factors;
  double momentum, keep, take;
  bool nesterov;
};

void update(const Device&, const SgdStep&, const UpdatePiece<float>&);
void update(const Device&, const SgdStep&, const UpdatePiece<double>&);

}  // namespace tapestry::kernels
