// Norm layers in the words of brainstate.nn: its names, order and defaults; axes have its meaning. What its
// documentation promises holds, where the code behind it does otherwise.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "layers/batch_norm.h"
#include "layers/group_norm.h"
#include "layers/layer_norm.h"

namespace tapestry::brainstate {

struct GroupNormOptions {
  Shape in_size = {};     // [C], or the whole shape of x, with or without batch
  int feature_axis = -1;  // of in_size
  std::optional<std::int64_t> num_groups = 32;
  std::optional<std::int64_t> group_size = std::nullopt;
  double epsilon = 1e-6;
  std::optional<DType> dtype = std::nullopt;
  bool use_bias = true;
  bool use_scale = true;
  Initializer bias_init = 0.0;  // a tensor broadcasts
  Initializer scale_init = 1.0;
  Axes reduction_axes = {};  // of x, batch counted; nothing: all but the batch
  std::vector<std::string> axis_name = {};
  std::vector<std::vector<int>> axis_index_groups = {};
  bool use_fast_variance = true;
  bool trainable = true;  // param_type
  Location where = std::source_location::current();
};
// ArgumentError unless one of num_groups and group_size is given, so that a group_size needs
// .num_groups = std::nullopt.
GroupNorm group_norm(const GroupNormOptions& options);

struct BatchNormOptions {
  Shape in_size = {};      // of a sample; inputs are [N, in_size] or in_size
  Axes feature_axis = -1;  // of in_size
  bool track_running_stats = true;
  double epsilon = 1e-5;
  double momentum = 0.99;  // the weight of the old value
  bool affine = true;
  Initializer bias_initializer = 0.0;  // a tensor broadcasts
  Initializer scale_initializer = 1.0;
  std::vector<std::string> axis_name = {};
  std::vector<std::vector<int>> axis_index_groups = {};
  bool use_fast_variance = true;
  std::optional<DType> dtype = std::nullopt;
  bool trainable = true;  // param_type
  Location where = std::source_location::current();
};
// Without track_running_stats the statistics are those of the batch, as is documented.
BatchNorm0d batch_norm0d(const BatchNormOptions& options);
BatchNorm1d batch_norm1d(const BatchNormOptions& options);
BatchNorm2d batch_norm2d(const BatchNormOptions& options);
BatchNorm3d batch_norm3d(const BatchNormOptions& options);

struct LayerNormOptions {
  Shape in_size = {};        // [C], or the whole shape of x, with or without batch
  Axes reduction_axes = -1;  // of x, batch counted
  Axes feature_axes = -1;    // of in_size
  double epsilon = 1e-6;
  bool use_bias = true;
  bool use_scale = true;
  Initializer bias_init = 0.0;  // a tensor broadcasts
  Initializer scale_init = 1.0;
  std::vector<std::string> axis_name = {};
  std::vector<std::vector<int>> axis_index_groups = {};
  bool use_fast_variance = true;
  std::optional<DType> dtype = std::nullopt;
  bool trainable = true;  // param_type
  Location where = std::source_location::current();
};
LayerNorm layer_norm(const LayerNormOptions& options);

struct RmsNormOptions {
  Shape in_size = {};
  Axes reduction_axes = -1;
  Axes feature_axes = -1;
  double epsilon = 1e-6;
  bool use_scale = true;
  Initializer scale_init = 1.0;
  std::vector<std::string> axis_name = {};
  std::vector<std::vector<int>> axis_index_groups = {};
  bool use_fast_variance = true;
  std::optional<DType> dtype = std::nullopt;
  bool trainable = true;  // param_type
  Location where = std::source_location::current();
};
RMSNorm rms_norm(const RmsNormOptions& options);

}  // namespace tapestry::brainstate
