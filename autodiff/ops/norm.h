// Normalization: by statistics of each row, of groups of channels, or of whole batches. Channels lie last. What follows
// a norm can be computed with it: y = activation(norm(x) + residual), where a ReLU and the sum cost no pass of their
// own. Exact for means far larger than the deviation and over all of float's range; a set of equal numbers gives
// exactly the bias, and a NaN or an infinity makes NaN of the whole set that it belongs to.
#pragma once

#include <optional>

#include "autodiff/ops/activation.h"
#include "autodiff/parameter.h"
#include "autodiff/var.h"

namespace tapestry {

struct LayerNormOptions {
  int axes = 1;           // how many trailing axes are normalized together
  double epsilon = 1e-5;  // added to the variance, > 0
  Activation activation = Activation::none;
  Var residual = {};  // of x's shape, added before the activation; nothing: none
  Location where = std::source_location::current();
};

// y = (x - mean) / sqrt(var + epsilon) * weight + bias, with mean and biased variance over the last `axes` axes of x;
// weight and bias have the shape of these axes, and either may hold nothing (Ba et al. 2016). Saves x, mean and rstd in
// double, and y where residual and ReLU are fused. ShapeError when axes or shapes do not fit, ArgumentError for an
// epsilon that is not positive.
Var layer_norm(const Var& x, const Var& weight, const Var& bias, const LayerNormOptions& options = {});
Var layer_norm(const Var& x, const LayerNormOptions& options = {});

struct GroupNormOptions {
  std::int64_t num_groups = 0;  // exactly one of both is given, and divides C
  std::int64_t group_size = 0;
  double epsilon = 1e-5;
  Activation activation = Activation::none;
  Var residual = {};
  Location where = std::source_location::current();
};

// y = (x - mean) / sqrt(var + epsilon) * weight + bias for x [N, ..., C], with mean and biased variance of each sample
// over all positions of a group of neighbouring channels; weight and bias [C], either may hold nothing (Wu and He
// 2018). Saves x, mean and variance in double, and y where residual and ReLU are fused. ShapeError when groups or
// shapes do not fit, ArgumentError for other bad options.
Var group_norm(const Var& x, const Var& weight, const Var& bias, const GroupNormOptions& options);
Var group_norm(const Var& x, const GroupNormOptions& options);

struct InstanceNormOptions {
  double epsilon = 1e-5;
  Activation activation = Activation::none;
  Var residual = {};
  Location where = std::source_location::current();
};

// group_norm with one channel a group (Ulyanov et al. 2016). ShapeError when a sample has one position only, which
// would give the bias whatever x is.
Var instance_norm(const Var& x, const Var& weight, const Var& bias, const InstanceNormOptions& options = {});
Var instance_norm(const Var& x, const InstanceNormOptions& options = {});

// Which variance of a batch of n values is averaged for evaluation: with n - 1 in the denominator, or with n, as it
// normalizes.
enum class RunningVariance { unbiased, biased };

struct BatchNormOptions {
  bool training = true;                         // normalize by the batch, not by the running statistics
  const Buffer* running_mean = nullptr;         // [C] and of x's type, as running_var; in training they get their next
  const Buffer* running_var = nullptr;          // values with the step; nullptr: none are kept
  const Buffer* num_batches_tracked = nullptr;  // int64 [], counts the steps
  std::optional<double> momentum = 0.1;  // the weight of the new value; nothing: 1 / batches, the average of them all
  RunningVariance running_variance = RunningVariance::unbiased;
  double epsilon = 1e-5;
  Activation activation = Activation::none;
  Var residual = {};
  Location where = std::source_location::current();
};

// y = (x - mean) / sqrt(var + epsilon) * weight + bias for x [N, ..., C]: in training with mean and biased variance of
// each channel over the batch, otherwise with running_mean and running_var, which are constants then (Ioffe and Szegedy
// 2015). weight and bias [C], either may hold nothing. In training on a tape, running = (1 - momentum) running +
// momentum new is queued, and committed with the step; several uses on one tape follow each other. Saves what
// group_norm saves. ShapeError when shapes do not fit or a batch has one value a channel, ArgumentError for other bad
// options.
Var batch_norm(const Var& x, const Var& weight, const Var& bias, const BatchNormOptions& options = {});
Var batch_norm(const Var& x, const BatchNormOptions& options = {});

}  // namespace tapestry
