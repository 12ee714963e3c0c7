// Layer and RMS norm: statistics of each sample over axes of its own. autodiff/ops/norm.h says what options of all
// norms mean.
#pragma once

#include <optional>

#include "autodiff/axes.h"
#include "autodiff/ops/activation.h"
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

}  // namespace tapestry
