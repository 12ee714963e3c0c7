// Reductions over axes: sums and what is made of them.
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
// y = log(sum of exp(x)), without overflow; -inf where all x are. dx = exp(x - y) dy. ShapeError over no elements.
Var logsumexp(const Var& x, ReduceOptions options = {});

struct VarOptions {
  Axes axes = {};        // none: all
  bool keepdim = false;  // reduced axes stay, with size 1
  int correction = 1;    // 0: the biased variance
  Location where = std::source_location::current();
};

// The variance y = sum of (x - mean)^2 / (count - correction), in two passes; dx = 2 (x - mean) / (count - correction)
// dy. ShapeError unless count is above correction, ArgumentError for a negative correction.
Var var(const Var& x, VarOptions options = {});

}  // namespace tapestry
