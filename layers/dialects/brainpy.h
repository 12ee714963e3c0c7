// Norm layers in brainpy's words: its names, order and defaults; axes have its meaning. What its documentation promises
// holds, where the code behind it does otherwise.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "layers/batch_norm.h"
#include "layers/group_norm.h"
#include "layers/instance_norm.h"
#include "layers/layer_norm.h"

namespace tapestry::brainpy {

// brainpy.nn, of BrainPy 2.1.
namespace nn {

struct GroupNormOptions {
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
// ArgumentError unless one of num_groups and group_size is given and positive.
GroupNorm group_norm(const GroupNormOptions& options);

}  // namespace nn

// brainpy.layers, from BrainPy 2.3 on. No layer needs a mode.
namespace layers {

struct BatchNormOptions {
  std::int64_t num_features = 0;
  Axes axis = {};  // nothing: all but the last; the layer takes no others
  double epsilon = 1e-5;
  double momentum = 0.99;  // the weight of the old value
  bool affine = true;
  Initializer bias_initializer = 0.0;
  Initializer scale_initializer = 1.0;
  std::vector<std::string> axis_name = {};
  std::vector<std::vector<int>> axis_index_groups = {};
  Location where = std::source_location::current();
};
BatchNorm0d batch_norm0d(const BatchNormOptions& options = {});
BatchNorm1d batch_norm1d(const BatchNormOptions& options = {});  // refuses [N, C]
BatchNorm2d batch_norm2d(const BatchNormOptions& options = {});
BatchNorm3d batch_norm3d(const BatchNormOptions& options = {});

struct GroupNormOptions {
  std::int64_t num_groups = 0;  // to be given
  std::int64_t num_channels = 0;
  double epsilon = 1e-5;
  bool affine = true;
  Initializer bias_initializer = 0.0;
  Initializer scale_initializer = 1.0;
  Location where = std::source_location::current();
};
// Weight and bias [C], and each group by itself, as is documented.
GroupNorm group_norm(const GroupNormOptions& options);

struct InstanceNormOptions {
  std::int64_t num_channels = 0;
  double epsilon = 1e-5;
  bool affine = true;
  Initializer bias_initializer = 0.0;
  Initializer scale_initializer = 1.0;
  Location where = std::source_location::current();
};
InstanceNorm instance_norm(const InstanceNormOptions& options = {});

struct LayerNormOptions {
  Shape normalized_shape = {};  // to be given
  double epsilon = 1e-5;
  Initializer bias_initializer = 0.0;
  Initializer scale_initializer = 1.0;
  bool elementwise_affine = true;
  Location where = std::source_location::current();
};
// The last axes are normalized, as is documented.
LayerNorm layer_norm(const LayerNormOptions& options);

}  // namespace layers
}  // namespace tapestry::brainpy
