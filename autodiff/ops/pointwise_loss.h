// Losses that compare each element with its own target of the same shape. `reduction` says what becomes of the losses:
// their mean (the default), their sum, or none at all. Means and sums are accumulated in double. All of them save x and
// the target; ShapeError when the shapes differ, ArgumentError when the types do, and for the mean of nothing.
#pragma once

#include "autodiff/reduction.h"
#include "autodiff/var.h"

namespace tapestry {

struct LossOptions {
  Reduction reduction = Reduction::mean;
  Location where = std::source_location::current();
};

// (x - target)^2. The target gets a gradient too when it is a Var that requires one.
Var mse_loss(const Var& x, const Var& target, const LossOptions& options = {});
Var mse_loss(const Var& x, const Tensor& target, const LossOptions& options = {});

// |x - target|, with slope 0 where they are equal. The target may be a Var.
Var l1_loss(const Var& x, const Var& target, const LossOptions& options = {});
Var l1_loss(const Var& x, const Tensor& target, const LossOptions& options = {});

struct HuberLossOptions {
  double delta = 1;  // where the square becomes a line, > 0
  Reduction reduction = Reduction::mean;
  Location where = std::source_location::current();
};

// With d = x - target: d^2 / 2 up to |d| = delta, delta (|d| - delta / 2) beyond (Huber 1964). The target may be a Var.
Var huber_loss(const Var& x, const Var& target, const HuberLossOptions& options = {});
Var huber_loss(const Var& x, const Tensor& target, const HuberLossOptions& options = {});

struct BceWithLogitsOptions {
  Tensor weight = {};      // factor of each loss
  Tensor pos_weight = {};  // factor of the term of target 1
  Reduction reduction = Reduction::mean;
  Location where = std::source_location::current();
};

// Binary cross entropy of sigmoid(x): weight ((1 - t) softplus(x) + pos_weight t softplus(-x)), for any size of x. Both
// weights are broadcast to x's shape; the mean divides by the number of elements.
Var bce_with_logits(const Var& x, const Tensor& target, const BceWithLogitsOptions& options = {});

struct KlDivOptions {
  bool log_target = false;                // the target holds log-probabilities
  Reduction reduction = Reduction::mean;  // batchmean, the sum over the first size, is the divergence itself
  Location where = std::source_location::current();
};

// Kullback-Leibler divergence of x, which holds log-probabilities, from the target's probabilities:
// t (log t - x), 0 where t = 0, or exp(t) (t - x) for a log_target.
Var kl_div(const Var& x, const Tensor& target, const KlDivOptions& options = {});

struct PoissonNllLossOptions {
  bool log_input = true;  // x is the logarithm of the expected count, not the count itself
  bool full = false;      // adds Stirling's approximation of log(target!) where target > 1
  double eps = 1e-8;      // keeps the logarithm from 0 unless log_input, >= 0
  Reduction reduction = Reduction::mean;
  Location where = std::source_location::current();
};

// Negative log likelihood of counts t under a Poisson distribution (torch.nn.functional.poisson_nll_loss):
// exp(x) - t x for log_input, else x - t log(x + eps), which is NaN where x + eps is negative. ArgumentError for an eps
// that is negative or not finite.
Var poisson_nll_loss(const Var& x, const Tensor& target, const PoissonNllLossOptions& options = {});

}  // namespace tapestry
