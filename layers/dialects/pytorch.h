// Norm layers in the words of torch.nn, where they are not ours: its names, order and defaults.
#pragma once

#include <optional>

#include "layers/batch_norm.h"

namespace tapestry::pytorch {

struct BatchNormOptions {
  std::int64_t num_features = 0;  // 0: what the layer before gives
  double eps = 1e-5;
  std::optional<double> momentum = 0.1;  // the weight of the new value, in [0, 1]; nothing: the average of all batches
  bool affine = true;
  bool track_running_stats = true;
  Location where = std::source_location::current();
};
// The running variance is the unbiased one. ArgumentError for a momentum outside [0, 1].
BatchNorm0d batch_norm0d(const BatchNormOptions& options = {});
BatchNorm1d batch_norm1d(const BatchNormOptions& options = {});
BatchNorm2d batch_norm2d(const BatchNormOptions& options = {});
BatchNorm3d batch_norm3d(const BatchNormOptions& options = {});

}  // namespace tapestry::pytorch
