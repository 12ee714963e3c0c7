// Adam and AdamW, as torch.optim.Adam and AdamW: Kingma and Ba 2015, Loshchilov and Hutter 2019.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/reference/update.h"

namespace tapestry::kernels {

// One update, the `step`-th from 1; `decoupled` makes it AdamW, whose weights decay beside the gradient.
struct AdamStep {
  double lr = 0, beta1 = 0, beta2 = 0, eps = 0, weight_decay = 0, scale = 1;
  bool decoupled = false;
  std::int64_t step = 1;
};

// State: m, v, and for AMSGrad the largest v, which then stands for v.
// m = beta1 m + (1 - beta1) d; v = beta2 v + (1 - beta2) d^2; the direction is
// (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + eps), whose first divisor is part of the rate.
struct AdamRule {
  explicit AdamRule(const AdamStep& step)
      : factors{.rate = step.lr / (1 - std::pow(step.beta1, static_cast<double>(step.step))),
                .scale = step.scale,
                .weight_decay = step.decoupled ? 0 : step.weight_decay,
                .shrink = step.decoupled ? step.lr * step.weight_decay : 0},
        beta1(step.beta1),
        beta2(step.beta2),
        root(1 / std::sqrt(1 - std::pow(step.beta2, static_cast<double>(step.step)))),
        eps(step.eps) {}

  double operator()(double d, const std::array<double*, 3>& state) const {
    double &m = *state[0], &v = *state[1];
    m = reference::running_mean(beta1, m, d);
    v = reference::running_mean(beta2, v, reference::finite_square(d));
    if (state[2] != nullptr) *state[2] = std::max(*state[2], v);
    return m / (std::sqrt(state[2] != nullptr ? *state[2] : v) * root + eps);
  }

  UpdateFactors factors;
  double beta1, beta2, root, eps;
};

void update(const Device&, const AdamStep&, const UpdatePiece<float>&);
void update(const Device&, const AdamStep&, const UpdatePiece<double>&);

}  // namespace tapestry::kernels
