// The core of all norms; not part of the public interface. It does what their own kernels do not know: any axes,
// elements that do not count, no mean, weights over any axes, statistics shared between replicas.
#pragma once

#include "autodiff/axes.h"
#include "autodiff/record.h"
#include "autodiff/replicas.h"
#include "kernels/norm_general.h"

namespace tapestry::detail {

struct NormalizeOptions {
  const char* op;
  Axes axes;           // rising; each set of elements that differ in these alone has its own statistics
  bool center = true;  // otherwise means are taken as 0
  double epsilon = 1e-5;
  Tensor mask = {};  // of x's shape and type: 1 for what counts, 0 for the rest
  ReplicaMean replicas = {};
  Location where;
};

struct Normalized {
  Var y;
  // [sets, 3]: mean, biased variance, elements over those that count; sets in the order of x, after those whose axes
  // weight or bias have.
  Tensor stats;
};

// y = (x - mean) / sqrt(var + epsilon) * weight + bias. weight and bias have x's rank and type, and x's sizes or 1, or
// hold nothing. x is brought into rows, one a set, and saved with their statistics.
Normalized normalize(const Var& x, const Var& weight, const Var& bias, const NormalizeOptions& options);

// The statistics of x [rows, n] as kernels want them, [rows, 3]; those of all replicas. The mask is nothing or as x.
Tensor row_statistics(const char* op, const kernels::GeneralNormDims& dims, const Var& x, const Tensor& mask,
                      const ReplicaMean& replicas);

// The mask, where there is one, as normalize wants it.
Tensor whole_mask(const Tensor& mask, const Var& x, const Location& where);

}  // namespace tapestry::detail
