// Matrix products and the affine map.
#pragma once

#include "autodiff/var.h"

namespace tapestry {

struct MatmulOptions {
  bool transpose_a = false;  // a is stored [..., K, M]
  bool transpose_b = false;  // b is stored [..., N, K]
  Location where = std::source_location::current();
};

// y[..., M, N] = op(a)[..., M, K] op(b)[..., K, N]. Leading axes of both must be equal; a `b` of two axes is the same
// for all of a's matrices. Saves a and b. ShapeError when the sizes do not fit.
Var matmul(const Var& a, const Var& b, MatmulOptions options = {});

// y[..., O] = x[..., I] weight[I, O] + bias[O]; an empty Var for bias adds none. Saves x and weight.
// ShapeError when the sizes do not fit.
Var linear(const Var& x, const Var& weight, const Var& bias = {}, Location where = std::source_location::current());

}  // namespace tapestry
