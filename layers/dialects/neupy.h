// Norm layers in the words of neupy.layers: its names, order and defaults. What its documentation promises holds, where
// the code behind it does otherwise.
#pragma once

#include "layers/batch_norm.h"
#include "layers/group_norm.h"
#include "layers/local_response.h"

namespace tapestry::neupy {

struct GroupNormOptions {
  std::int64_t n_groups = 0;  // to be given
  Initializer beta = 0.0;     // bias; a tensor broadcasts, such as one [1, 1, 1, C]
  Initializer gamma = 1.0;    // weight
  double epsilon = 1e-5;
  Location where = std::source_location::current();
};
// Of images [N, H, W, C] alone. ArgumentError for n_groups below 1.
GroupNorm group_norm(const GroupNormOptions& options);

struct BatchNormOptions {
  Axes axes = {};      // what is reduced; nothing: all but the last
  double alpha = 0.1;  // the weight of the new value, in [0, 1]
  Initializer beta = 0.0;
  Initializer gamma = 1.0;
  double epsilon = 1e-5;
  Initializer running_mean = 0.0;
  Initializer running_inv_std = 1.0;  // averages 1 / sqrt(variance + epsilon)
  Location where = std::source_location::current();
};
// ArgumentError for an alpha outside [0, 1].
BatchNorm0d batch_norm0d(const BatchNormOptions& options = {});
BatchNorm1d batch_norm1d(const BatchNormOptions& options = {});
BatchNorm2d batch_norm2d(const BatchNormOptions& options = {});
BatchNorm3d batch_norm3d(const BatchNormOptions& options = {});

struct LocalResponseNormOptions {
  std::int64_t depth_radius = 5;  // channels of the window on both sides, odd
  double alpha = 1e-4;            // not divided by the window
  double beta = 0.75;
  double k = 2;
  Location where = std::source_location::current();
};
// Of images [N, H, W, C] alone. ArgumentError unless depth_radius is odd and positive.
LocalResponseNorm local_response_norm(const LocalResponseNormOptions& options = {});

}  // namespace tapestry::neupy
