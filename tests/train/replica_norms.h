// Norms whose statistics replicas have in common: what goes in, what comes out, and the same by plain loops.
#pragma once

#include <functional>
#include <vector>

#include "autodiff/ops/norm.h"
#include "train/replicas.h"

namespace tapestry::test {

using Values = std::vector<double>;

Values values_of(const Tensor& x);
void append(Values& all, const Tensor& x);
// Within `tolerance` of the largest element, or of 1.
void require_near(const char* what, const Values& found, const Values& expected, double tolerance);

// One x, dy and mask for each replica, of different means, deviations and counts; one weight, bias and pair of running
// statistics for all.
struct ReplicaData {
  ReplicaData(const Context& context, int replicas, const Shape& shape, const Shape& affine, DType dtype);

  std::vector<Tensor> x, dy, mask;
  Parameter weight, bias;
  Buffer running_mean, running_var;
};

// [N, ...] of several, one after the other.
Tensor joined(const Context& context, const std::vector<Tensor>& parts);

using ReplicaNorm = std::function<Var(ReplicaData& data, const Var& x, const Tensor& mask)>;

// Batch norm of momentum 0.9 over these axes, which must live on.
ReplicaNorm batch_norm_over(const ReplicaAxes& axes, RunningVariance kind = RunningVariance::biased);

// What came out, all replicas one after the other; gradients of weight and bias are sums over them.
struct Outcome {
  Values y, dx, dweight, dbias, running;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};
Outcome outcome(train::Replicas& replicas, ReplicaData& data, const ReplicaNorm& norm, bool masked = false);

// The set and the parameter of element k of one replica; of sets there are `sets`, shared within `parts` of replicas.
struct Arrangement {
  std::vector<int> parts;
  std::size_t sets;
  std::function<std::size_t(std::size_t k)> set, affine;
  bool masked = false, center = true;
};
Outcome outcome_by_loops(const ReplicaData& data, const Arrangement& a);

void require_same(const Outcome& found, const Outcome& expected, double tolerance);

}  // namespace tapestry::test
