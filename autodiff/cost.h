// What ops must compute and move at least: the formulas that several have in common, for their descriptions
// (OpInfo::cost).
#pragma once

#include "autodiff/op.h"

namespace tapestry {

// What of the inputs a backward pass reads, beside dy.
enum class Saved { nothing, inputs };

double elements(const Shape& shape);

// The costs of the op of an event of the forward pass. One that does not tell counts one operation for each element of
// its largest tensor, and for each gradient.
OpCosts op_costs(const TraceEvent& event);

// The bytes of an op that reads its inputs and writes its output, and computes nothing.
OpCosts moving_cost(const OpCall& call, Saved saved);
template <Saved kSaved>
OpCosts moving_cost(const OpCall& call) {
  return moving_cost(call, kSaved);
}

// The same with so many operations for each element of its largest tensor, forward and backward. All inputs are saved.
OpCosts per_element_cost(const OpCall& call, double forward, double backward);

// One operation for each element of the largest tensor, and for each gradient.
OpCosts elementwise_cost(const OpCall& call, Saved saved);
template <Saved kSaved>
OpCosts elementwise_cost(const OpCall& call) {
  return elementwise_cost(call, kSaved);
}

// A product of inputs 0 and 1 with so many operations, which each of their gradients has too, plus an optional bias.
// Either gradient reads the other input.
OpCosts product_cost(const OpCall& call, double operations);

}  // namespace tapestry
