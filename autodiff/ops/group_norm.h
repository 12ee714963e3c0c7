// Group and instance norm: statistics of groups of channels of each sample. autodiff/ops/norm.h says what options of
// all norms mean.
#pragma once

#include <optional>

#include "autodiff/axes.h"
#include "autodiff/ops/activation.h"
#include "autodiff/ops/pool.h"
#include "autodiff/replicas.h"
#include "autodiff/var.h"

namespace tapestry {

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

}  // namespace tapestry
