// Normalization by statistics of the input itself.
#pragma once

#include "autodiff/var.h"

namespace tapestry {

struct LayerNormOptions {
  int axes = 1;           // how many trailing axes are normalized together
  double epsilon = 1e-5;  // added to the variance, > 0
  Location where = std::source_location::current();
};

// y = (x - mean) / sqrt(var + epsilon) * weight + bias, with mean and biased variance over the last `axes` axes of x;
// weight and bias have the shape of these axes, and either may hold nothing (Ba et al. 2016). Exact for means far
// larger than the deviation and over all of float's range; a row of equal numbers gives exactly the bias. Saves x, and
// mean and rstd in double. ShapeError when axes or shapes do not fit, ArgumentError for an epsilon that is not
// positive.
Var layer_norm(const Var& x, const Var& weight, const Var& bias, const LayerNormOptions& options = {});
Var layer_norm(const Var& x, const LayerNormOptions& options = {});

}  // namespace tapestry
