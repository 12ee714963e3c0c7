// Reductions over axes.
#pragma once

#include "autodiff/axes.h"
#include "autodiff/record.h"

namespace tapestry {

struct ReduceOptions {
  Axes axes = {};        // none: all
  bool keepdim = false;  // reduced axes stay, with size 1
  Location where = std::source_location::current();
};

// All: ShapeError for an axis that x does not have or that is named twice. Sums are added in double.

// y = sum of x; 0 over no elements.
Var sum(const Var& x, ReduceOptions options = {});
// y = sum of x / count; ShapeError over no elements.
Var mean(const Var& x, ReduceOptions options = {});

}  // namespace tapestry
