// Softmax and its logarithm.
#pragma once

#include "autodiff/var.h"

namespace tapestry {

struct SoftmaxOptions {
  int axis = -1;  // along which the results sum to 1
  Location where = std::source_location::current();
};

// y = exp(x) / sum exp(x) along the axis, of any size: computed as exp(x - max) / sum exp(x - max). Saves y.
// Where a line holds a NaN, +inf, or -inf only, all of it becomes NaN. ShapeError when the axis does not exist.
Var softmax(const Var& x, const SoftmaxOptions& options = {});

// y = log softmax(x) = x - max - log sum exp(x - max), exact where softmax(x) is too small for a float. Saves y.
Var log_softmax(const Var& x, const SoftmaxOptions& options = {});

}  // namespace tapestry
