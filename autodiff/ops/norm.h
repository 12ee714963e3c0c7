// Normalization: by statistics of each row, of groups of channels, or of whole batches. What follows a norm can be
// computed with it: y = activation(norm(x) + residual), where a ReLU and the sum cost no pass of their own. Exact for
// means far larger than the deviation and over all of float's range; a set of equal numbers gives exactly the bias, and
// a NaN or an infinity makes NaN of the whole set that it belongs to.
//
// What all options share. Axes: -1 is the last; order does not matter. mask: stretches to x; where it is 0, an element
// does not count for the statistics, whatever it holds, but y is written there, too, and gradients flow through the
// statistics; where nothing counts, they are NaN. dtype: of y, float32 or float64; nothing: the widest of x, weight and
// bias, where integers count as float32. replicas: whose statistics are averaged. ArgumentError for a mask, dtype or
// epsilon outside these rules, ShapeError where shapes or axes do not fit.
//
// pool: y is the largest of each window of what all that gives. One pass where windows cover every position, activation
// is none or relu and there is no residual; then x at the largest elements and their taps are saved, in place of y.
#pragma once

#include <optional>

#include "autodiff/axes.h"
#include "autodiff/ops/activation.h"
#include "autodiff/ops/pool.h"
#include "autodiff/parameter.h"
#include "autodiff/replicas.h"
#include "autodiff/var.h"

namespace tapestry {

struct LayerNormOptions {
  int axes = 1;                   // how many trailing axes are normalized together
  Axes reduction_axes = {};       // instead: which
  Axes feature_axes = {};         // which weight and bias have; nothing: those that are normalized together
  double epsilon = 1e-5;          // added to the variance, > 0
  bool use_fast_variance = true;  // allows one pass; digits are not lost either way
  Tensor mask = {};
  std::optional<DType> dtype = std::nullopt;
  const ReplicaAxes* replicas = nullptr;
  Activation activation = Activation::none;
  Var residual = {};  // of x's shape, added before the activation; nothing: none
  Location where = std::source_location::current();
};

// y = (x - mean) / sqrt(var + epsilon) * weight + bias, with mean and biased variance over the last `axes` axes of x,
// or over `reduction_axes`; weight and bias have the sizes of feature_axes in the order of x, and either may hold
// nothing (Ba et al. 2016). Saves x, mean and rstd in double, and y where residual and ReLU are fused.
Var layer_norm(const Var& x, const Var& weight, const Var& bias, const LayerNormOptions& options = {});
Var layer_norm(const Var& x, const LayerNormOptions& options = {});

struct RmsNormOptions {
  int axes = 1;
  Axes reduction_axes = {};
  Axes feature_axes = {};
  double epsilon = 1e-6;
  bool use_fast_variance = true;
  Tensor mask = {};
  std::optional<DType> dtype = std::nullopt;
  const ReplicaAxes* replicas = nullptr;
  Activation activation = Activation::none;
  Var residual = {};
  Location where = std::source_location::current();
};

// y = x / sqrt(mean(x^2) + epsilon) * weight, otherwise as layer_norm (Zhang and Sennrich 2019).
Var rms_norm(const Var& x, const Var& weight, const RmsNormOptions& options = {});
Var rms_norm(const Var& x, const RmsNormOptions& options = {});

// Whether each channel has a weight and a bias, or each position and place within a group, for all groups alike.
enum class AffineShape { per_channel, per_position };

struct GroupNormOptions {
  std::int64_t num_groups = 0;  // one of both is given, and divides C; neither: 32 groups
  std::int64_t group_size = 0;
  Axes reduction_axes = {};  // those that share statistics, the feature axes among them; nothing: all but the first
  Axes feature_axes = -1;    // the channels; several are taken together
  AffineShape affine = AffineShape::per_channel;
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

// y = (x - mean) / sqrt(var + epsilon) * weight + bias for x [N, ..., C], with mean and biased variance of each sample
// over all positions of a group of neighbouring channels; weight and bias [C], or per position the sizes of the other
// reduction axes and of a group; either may hold nothing (Wu and He 2018). Saves x, mean and variance in double, and y
// where residual and ReLU are fused. ShapeError when groups do not fit.
Var group_norm(const Var& x, const Var& weight, const Var& bias, const GroupNormOptions& options = {});
Var group_norm(const Var& x, const GroupNormOptions& options = {});

struct InstanceNormOptions {
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

// group_norm with one channel a group, for weight and bias of the sizes of feature_axes (Ulyanov et al. 2016).
// ShapeError when a sample has one position only, which would give the bias whatever x is, unless several feature axes
// say so.
Var instance_norm(const Var& x, const Var& weight, const Var& bias, const InstanceNormOptions& options = {});
Var instance_norm(const Var& x, const InstanceNormOptions& options = {});

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
