// Batch norm: statistics of each channel over the batch, and those that run along. autodiff/ops/norm.h says what
// options of all norms mean.
#pragma once

#include <optional>

#include "autodiff/axes.h"
#include "autodiff/ops/activation.h"
#include "autodiff/ops/pool.h"
#include "autodiff/parameter.h"
#include "autodiff/replicas.h"
#include "autodiff/var.h"

namespace tapestry {

// What of a batch of n values is averaged for evaluation: the variance as it normalizes, that with n - 1 in the
// denominator, or 1 / sqrt(variance + epsilon).
enum class RunningVariance { biased, unbiased, inverse_std };

// The weight of the old value, for PyTorch's momentum, which weighs the new one.
constexpr double torch_momentum(double momentum) { return 1 - momentum; }

struct BatchNormOptions {
  bool training = true;                  // normalize by the batch, not by the running statistics
  const Buffer* running_mean = nullptr;  // as weight, in float32 or float64, as running_var; in training they get
  const Buffer* running_var = nullptr;   // their next values with the step; nullptr: none are kept
  const Buffer* num_batches_tracked = nullptr;  // int64 [], counts the steps
  std::optional<double> momentum = 0.99;        // the weight of the old value; nothing: the average of all batches
  RunningVariance running_variance = RunningVariance::biased;
  Axes feature_axes = -1;
  double epsilon = 1e-5;
  bool use_fast_variance = true;
  Tensor mask = {};
  std::optional<DType> dtype = std::nullopt;
  const ReplicaAxes* replicas = nullptr;
  Activation activation = Activation::none;
  Var residual = {};
  PoolWindows pool = {};
  Location where = std::source_location::current();
};

// y = (x - mean) / sqrt(var + epsilon) * weight + bias for x [N, ..., C]: in training with mean and biased variance of
// each channel over the batch, otherwise with running_mean and running_var, which are constants then (Ioffe and Szegedy
// 2015). weight and bias have the sizes of feature_axes, either may hold nothing. In training on a tape, running =
// momentum running + (1 - momentum) new is queued, and committed with the step; several uses on one tape follow each
// other; an empty batch, and one whose statistics are not finite, change nothing. Saves what group_norm saves.
// ShapeError when a batch has one value a channel.
Var batch_norm(const Var& x, const Var& weight, const Var& bias, const BatchNormOptions& options = {});
Var batch_norm(const Var& x, const BatchNormOptions& options = {});

}  // namespace tapestry
