// The norm layers in the words of other toolkits: the options of each source, with its names, order and defaults, for
// GroupNorm::brainpy, BatchNorm2d::torch and so on. Axes have each source's meaning. What a documentation promises
// holds, where the code behind it does otherwise.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "autodiff/axes.h"
#include "autodiff/location.h"
#include "layers/init.h"

namespace tapestry {

// brainpy.nn.GroupNorm of BrainPy 2.1. ArgumentError unless one of num_groups and group_size is given and positive.
struct BrainpyGroupNormOptions {
  std::optional<std::int64_t> num_groups = std::nullopt;
  std::optional<std::int64_t> group_size = std::nullopt;
  double epsilon = 1e-5;
  bool use_bias = true;
  bool use_scale = true;
  Initializer beta_init = 0.0;   // bias: [d1..dk, group_size] of x [N, d1..dk, C], shared by the groups
  Initializer gamma_init = 1.0;  // weight, of the same shape
  Axes axis = {};                // which of d1..dk are normalized, from 1; the channels of a group are; nothing: all
  bool trainable = true;
  Location where = std::source_location::current();
};

// brainpy.layers.BatchNorm1d to 3d, of BrainPy 2.3. affine needs no mode.
struct BrainpyBatchNormOptions {
  std::int64_t num_features = 0;
  Axes axis = {};  // nothing: all but the last, which is all that fits
  double epsilon = 1e-5;
  double momentum = 0.99;  // the weight of the old value
  bool affine = true;
  Initializer bias_initializer = 0.0;
  Initializer scale_initializer = 1.0;
  std::vector<std::string> axis_name = {};
  std::vector<std::vector<int>> axis_index_groups = {};
  Location where = std::source_location::current();
};

// brainpy.layers.GroupNorm: weight and bias [C], and each group by itself, as is documented.
struct BrainpyLayersGroupNormOptions {
  std::int64_t num_groups = 0;  // to be given
  std::int64_t num_channels = 0;
  double epsilon = 1e-5;
  bool affine = true;
  Initializer bias_initializer = 0.0;
  Initializer scale_initializer = 1.0;
  Location where = std::source_location::current();
};

// brainpy.layers.LayerNorm. The last axes are normalized, as is documented.
struct BrainpyLayerNormOptions {
  Shape normalized_shape = {};
  double epsilon = 1e-5;
  Initializer bias_initializer = 0.0;
  Initializer scale_initializer = 1.0;
  bool elementwise_affine = true;
  Location where = std::source_location::current();
};

// brainpy.layers.InstanceNorm.
struct BrainpyInstanceNormOptions {
  std::int64_t num_channels = 0;
  double epsilon = 1e-5;
  bool affine = true;
  Initializer bias_initializer = 0.0;
  Initializer scale_initializer = 1.0;
  Location where = std::source_location::current();
};

// brainstate.nn.GroupNorm. ArgumentError unless one of num_groups and group_size is given, so that a group_size needs
// .num_groups = std::nullopt.
struct BrainstateGroupNormOptions {
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

// brainstate.nn.BatchNorm0d to 3d. Without track_running_stats the statistics are those of the batch, as is documented.
struct BrainstateBatchNormOptions {
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

// brainstate.nn.LayerNorm.
struct BrainstateLayerNormOptions {
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

// brainstate.nn.RMSNorm.
struct BrainstateRmsNormOptions {
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

// neupy.layers.GroupNorm of images [N, H, W, C].
struct NeupyGroupNormOptions {
  std::int64_t n_groups = 0;  // to be given
  Initializer beta = 0.0;     // bias; a tensor broadcasts, such as one [1, 1, 1, C]
  Initializer gamma = 1.0;    // weight
  double epsilon = 1e-5;
  Location where = std::source_location::current();
};

// neupy.layers.BatchNorm, whose running_inv_std averages 1 / sqrt(variance + epsilon).
struct NeupyBatchNormOptions {
  Axes axes = {};      // what is reduced; nothing: all but the last
  double alpha = 0.1;  // the weight of the new value, in [0, 1]
  Initializer beta = 0.0;
  Initializer gamma = 1.0;
  double epsilon = 1e-5;
  Initializer running_mean = 0.0;
  Initializer running_inv_std = 1.0;
  Location where = std::source_location::current();
};

// torch.nn.BatchNorm1d to 3d.
struct TorchBatchNormOptions {
  std::int64_t num_features = 0;  // 0: what the layer before gives
  double eps = 1e-5;
  std::optional<double> momentum = 0.1;  // the weight of the new value, in [0, 1]; nothing: the average of all batches
  bool affine = true;
  bool track_running_stats = true;
  Location where = std::source_location::current();
};

}  // namespace tapestry
