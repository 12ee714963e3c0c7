// Updates of optimizers: one pass over flat memory reads and writes the weights and each piece of state once. A rule
// has its own kernels/update/NAME.h and .cc; what all rules share is here, and their loop in kernels/update/loop-inl.h.
#pragma once

#include <array>
#include <span>

#include "kernels/device.h"

namespace tapestry::kernels {

// Weights that lie side by side, with their gradient and state: what one call updates.
template <class T>
struct UpdatePiece {
  std::span<const T> gradient;
  std::array<std::span<T>, 3> state;  // in the order that the rule tells; empty where the rule does without
  std::span<T> weight;

  // The elements [begin, end).
  UpdatePiece part(std::size_t begin, std::size_t end) const {
    UpdatePiece part{gradient.subspan(begin, end - begin), {}, weight.subspan(begin, end - begin)};
    for (std::size_t k = 0; k < state.size(); ++k)
      if (!state[k].empty()) part.state[k] = state[k].subspan(begin, end - begin);
    return part;
  }
};

// The numbers that every rule has. With d = scale gradient + weight_decay w, a rule makes a direction of d and of its
// state, and w -= rate direction + shrink w.
struct UpdateFactors {
  double rate = 0, scale = 1, weight_decay = 0, shrink = 0;
};

// Calls kernel(rule, part), a rule's kernel for the device's target, for parts that the threads share out.
template <class Rule>
void update_parts(const Device& device, const Rule& rule, const UpdatePiece<float>& piece,
                  void (*kernel)(const Rule&, const UpdatePiece<float>&)) {
  parallel_for(device.pool, piece.weight.size(), kGrain,
               [&](std::size_t begin, std::size_t end) { kernel(rule, piece.part(begin, end)); });
}

// sqrt(sum x^2), summed in double. Not finite exactly when some float is not; no finite input overflows.
double l2_norm(const Device&, std::span<const float> x);
double l2_norm(const Device&, std::span<const double> x);

}  // namespace tapestry::kernels
