#include "layers/dialects/neupy.h"

#include <algorithm>

#include "layers/dialects/words.h"

namespace tapestry::neupy {
namespace {

using detail::stretched;

constexpr int kImages = 4;  // axes of [N, H, W, C]

template <class Layer>
Layer batch_norm(const BatchNormOptions& from) {
  detail::check_fraction("BatchNorm", "alpha", from.alpha, from.where);
  return Layer({.axis = from.axes,
                .epsilon = from.epsilon,
                .momentum = 1 - from.alpha,
                .running_variance = RunningVariance::inverse_std,
                .weight_init = stretched(from.gamma),
                .bias_init = stretched(from.beta),
                .running_mean_init = stretched(from.running_mean),
                .running_var_init = stretched(from.running_inv_std),
                .where = from.where});
}

}  // namespace

GroupNorm group_norm(const GroupNormOptions& from) {
  return GroupNorm({.num_groups = detail::positive("GroupNorm", "n_groups", from.n_groups, from.where),
                    .rank = kImages,
                    .epsilon = from.epsilon,
                    .weight_init = stretched(from.gamma),
                    .bias_init = stretched(from.beta),
                    .where = from.where});
}

BatchNorm0d batch_norm0d(const BatchNormOptions& options) { return batch_norm<BatchNorm0d>(options); }
BatchNorm1d batch_norm1d(const BatchNormOptions& options) { return batch_norm<BatchNorm1d>(options); }
BatchNorm2d batch_norm2d(const BatchNormOptions& options) { return batch_norm<BatchNorm2d>(options); }
BatchNorm3d batch_norm3d(const BatchNormOptions& options) { return batch_norm<BatchNorm3d>(options); }

LocalResponseNorm local_response_norm(const LocalResponseNormOptions& from) {
  if (from.depth_radius < 1 || from.depth_radius % 2 == 0)
    fail<ArgumentError>(from.where, "LocalResponseNorm",
                        fmt::format("Only works with odd depth_radius; it is {}", from.depth_radius));
  return LocalResponseNorm({.size = 2 * std::min(from.depth_radius, Shape::kMaxSize) + 1,
                            .alpha = from.alpha,
                            .beta = from.beta,
                            .k = from.k,
                            .scaling = ResponseScaling::sum,
                            .rank = kImages,
                            .where = from.where});
}

}  // namespace tapestry::neupy
