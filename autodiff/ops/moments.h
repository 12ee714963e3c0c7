// The two halves of a norm, for norms of one's own: statistics of x, and what normalizes x by any statistics. In
// between they may be mixed, averaged or bounded. examples/09_own_norm.cc shows one.
#pragma once

#include "autodiff/axes.h"
#include "autodiff/replicas.h"
#include "autodiff/var.h"

namespace tapestry {

struct MomentsOptions {
  Axes axes = {};                         // that are taken together; nothing: all
  Tensor mask = {};                       // stretches to x: where it is 0, an element does not count
  const ReplicaAxes* replicas = nullptr;  // whose moments are averaged
  Location where = std::source_location::current();
};

// float64 whatever x is, with x's rank: 1 along the axes, so that they stretch to x.
struct Moments {
  Var mean, variance;
};

// The mean and the biased variance: sum (x - mean)^2 / n. Computed in double, and exact where the mean is far larger
// than the deviation; equal numbers have exactly their mean and no variance. Both are NaN where nothing counts, or a
// NaN or an infinity does. With replicas the unweighted mean of their means, and the mean square around that one.
// Saves x and the means. ShapeError for an axis that x does not have or that is named twice, and a mask that does not
// stretch to x; ArgumentError for an x that holds nothing, and replicas that the context does not have.
Moments moments(const Var& x, const MomentsOptions& options = {});

struct NormalizeWithOptions {
  double epsilon = 1e-5;  // added to the variance, > 0
  Location where = std::source_location::current();
};

// y = (x - mean) / sqrt(variance + epsilon) * weight + bias. All stretch to x; weight and bias may hold nothing. y is
// as wide as the widest of x, weight and bias, float32 or float64, and computed in double: a mean far from 0 keeps its
// digits as long as it is float64. NaN where variance + epsilon is negative. Gradients flow to all five. Saves x,
// weight and the statistics. ShapeError for what does not stretch to x; ArgumentError for an epsilon that is not
// positive and finite, and an x, mean or variance that holds nothing.
Var normalize_with(const Var& x, const Var& mean, const Var& variance, const Var& weight, const Var& bias,
                   const NormalizeWithOptions& options = {});
Var normalize_with(const Var& x, const Var& mean, const Var& variance, const NormalizeWithOptions& options = {});

}  // namespace tapestry
