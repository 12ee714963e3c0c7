// The largest and the smallest element over axes, and where it is.
#pragma once

#include "autodiff/ops/reduce.h"

namespace tapestry {

// All: ShapeError over no elements, or for an axis that x does not have or that is named twice.

// The largest or smallest element, NaN if one is NaN. Elements that tie share dy evenly (torch.amax, torch.amin).
Var max(const Var& x, ReduceOptions options = {});
Var min(const Var& x, ReduceOptions options = {});

// The index of the first largest or smallest element, or of the first NaN, as int64: along the axis, or among the
// elements of several axes in row-major order. No gradient.
Tensor argmax(const Var& x, ReduceOptions options = {});
Tensor argmin(const Var& x, ReduceOptions options = {});

}  // namespace tapestry
