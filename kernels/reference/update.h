#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>

#include "kernels/update.h"

namespace tapestry::kernels::reference {

// See kernels/update.h. `rule(d, state)` returns the direction of one element; state[k] is nullptr where there is none.
template <class Rule>
void update(const Rule& rule, const UpdatePiece<double>& piece) {
  for (std::size_t i = 0; i < piece.weight.size(); ++i) {
    std::array<double*, 3> state{};
    for (std::size_t k = 0; k < state.size(); ++k)
      if (!piece.state[k].empty()) state[k] = &piece.state[k][i];
    double& w = piece.weight[i];
    const double d = rule.factors.scale * piece.gradient[i] + rule.factors.weight_decay * w;
    w -= rule.factors.rate * rule(d, state) + rule.factors.shrink * w;
  }
}

// beta old + (1 - beta) fresh, in the form whose rounding is small beside the result (torch.lerp).
inline double running_mean(double beta, double old, double fresh) {
  return beta > 0.5 ? old + (1 - beta) * (fresh - old) : fresh - beta * (fresh - old);
}

// x^2, the largest number where that would be an infinity.
inline double finite_square(double x) { return std::min(std::numeric_limits<double>::max(), x * x); }

inline double l2_norm(std::span<const double> x) {
  long double sum = 0;  // whose range holds the squares of doubles
  for (const double value : x) sum += static_cast<long double>(value) * static_cast<long double>(value);
  return static_cast<double>(std::sqrt(sum));
}

}  // namespace tapestry::kernels::reference
