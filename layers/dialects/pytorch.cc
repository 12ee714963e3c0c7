#include "layers/dialects/pytorch.h"

namespace tapestry::pytorch {
namespace {

template <class Layer>
Layer batch_norm(const BatchNormOptions& from) {
  std::optional<double> momentum;
  if (from.momentum) {
    detail::check_fraction("BatchNorm", "momentum", *from.momentum, from.where);
    momentum = torch_momentum(*from.momentum);
  }
  return Layer({.num_features = from.num_features,
                .epsilon = from.eps,
                .momentum = momentum,
                .track_running_stats = from.track_running_stats,
                .running_variance = RunningVariance::unbiased,
                .affine = from.affine,
                .where = from.where});
}

}  // namespace

BatchNorm0d batch_norm0d(const BatchNormOptions& options) { return batch_norm<BatchNorm0d>(options); }
BatchNorm1d batch_norm1d(const BatchNormOptions& options) { return batch_norm<BatchNorm1d>(options); }
BatchNorm2d batch_norm2d(const BatchNormOptions& options) { return batch_norm<BatchNorm2d>(options); }
BatchNorm3d batch_norm3d(const BatchNormOptions& options) { return batch_norm<BatchNorm3d>(options); }

}  // namespace tapestry::pytorch
