// RMSprop, as torch.optim.RMSprop: Hinton 2012; centered, Graves 2013.
#pragma once

#include <algorithm>
#include <cmath>

#include "kernels/reference/update.h"

namespace tapestry::kernels {

struct RmspropStep {
  double lr = 0, alpha = 0, eps = 0, momentum = 0, weight_decay = 0, scale = 1;
};

// State: v, and where they are kept, b, the momentum, and a, the mean of the gradient (centered).
// v = alpha v + (1 - alpha) d^2; a = alpha a + (1 - alpha) d; q = d / (sqrt(v - a^2) + eps), without a^2 where it is
// not kept; the direction is b = momentum b + q, or q. Rounding may not make v - a^2 negative.
struct RmspropRule {
  explicit RmspropRule(const RmspropStep& step)
      : factors{.rate = step.lr, .scale = step.scale, .weight_decay = step.weight_decay},
        alpha(step.alpha),
        eps(step.eps),
        momentum(step.momentum) {}

  double operator()(double d, const std::array<double*, 3>& state) const {
    double variance = *state[0] = reference::running_mean(alpha, *state[0], reference::finite_square(d));
    if (state[2] != nullptr) {
      const double mean = *state[2] = reference::running_mean(alpha, *state[2], d);
      variance = std::max(0.0, variance - mean * mean);
    }
    const double q = d / (std::sqrt(variance) + eps);
    return state[1] == nullptr ? q : *state[1] = momentum * *state[1] + q;
  }

  UpdateFactors factors;
  double alpha, eps, momentum;
};

void update(const Device&, const RmspropStep&, const UpdatePiece<float>&);
void update(const Device&, const RmspropStep&, const UpdatePiece<double>&);

}  // namespace tapestry::kernels
