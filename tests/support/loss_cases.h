// The table of the pointwise losses: what each must give, for all tests that walk it.
#pragma once

#include <functional>
#include <vector>

#include "autodiff/ops/pointwise_loss.h"
#include "kernels/reference/pointwise_loss.h"

namespace tapestry::test {

// A call with options that break a rule, and what the error says.
struct LossRefusal {
  std::function<Var(const Var& x, const Var& target)> f;
  const char* message;
};

struct LossCase {
  const char* name;
  kernels::PointwiseLossDims dims;
  std::function<Var(const Var& x, const Var& target, Reduction)> f;  // what users call
  long double (*formula)(long double x, long double t);              // as in the book
  double low = -6, high = 6;                                         // of x
  double target_low = 0, target_high = 1;
  bool of_difference = false;                // a function of x - target: the target has a gradient, too
  std::vector<double> kinks = {};            // of x - target
  bool weighted = false, batchmean = false;  // what it takes
  std::vector<LossRefusal> refused = {};
};

const std::vector<LossCase>& loss_cases();

}  // namespace tapestry::test
