// What an op must compute and move at least, from its name and shapes: the numbers that its time is held against.
#pragma once

#include "autodiff/context.h"

namespace tapestry::train {

// `flops`: additions and multiplications, a multiply-add is two, as in layers/summary.h; a function such as exp is one.
// `bytes`: the least that moves between the op and memory when nothing is left in a cache: each input that it needs is
// read once, each result is written once.
struct OpCost {
  double flops = 0, bytes = 0;
  double written = 0;   // of the bytes; the others are read
  double products = 0;  // of the operations, those of products and convolutions, which a matrix unit may take
};

struct OpCosts {
  OpCost forward;
  OpCost backward;  // for the gradients that the inputs want
};

// The costs of a forward event. An op that is not known here counts one operation for each element of its largest
// tensor, and for each gradient.
OpCosts op_costs(const TraceEvent& event);

}  // namespace tapestry::train
