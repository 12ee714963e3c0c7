// Norms of weights, to be taken within the tape before a layer uses them: y has the weight's shape. Sums are made in
// double. layers/weight_norm.h has the layers.
#pragma once

#include "autodiff/axes.h"
#include "autodiff/parameter.h"
#include "autodiff/var.h"

namespace tapestry {

struct WeightNormOptions {
  Axes feature_axes = -1;  // each index along them has a norm of its own; Axes{}: one norm of all
  double epsilon = 1e-12;  // > 0
  Location where = std::source_location::current();
};

// y = v g / sqrt(sum v^2 + epsilon), the sum over all axes but feature_axes; g has the sizes of these axes in the order
// of v, or holds nothing: ones (Salimans and Kingma 2016; torch.nn.utils.weight_norm has no epsilon). Saves v, g and
// the statistics. ShapeError when axes or shapes do not fit, ArgumentError for an epsilon that is not positive.
Var weight_norm(const Var& v, const Var& g, const WeightNormOptions& options = {});

struct WeightStandardizationOptions {
  int out_axis = -1;
  double epsilon = 1e-4;  // > 0
  Location where = std::source_location::current();
};

// y = gain (w - mean) / sqrt(max(var n, epsilon)), with the mean and the biased variance of the n numbers of each
// output; gain [O] or nothing: ones (Qiao et al. 2019; Brock et al. 2021). Where epsilon is the larger, no gradient
// flows through the variance. Saves w, gain and the statistics. Errors as weight_norm.
Var weight_standardization(const Var& w, const Var& gain, const WeightStandardizationOptions& options = {});

struct SpectralNormOptions {
  bool training = true;      // go on with the iteration, and queue its vectors as the buffers' next values
  int power_iterations = 1;  // > 0
  double epsilon = 1e-12;    // > 0, a vector of the iteration that is shorter becomes 0, and so sigma
  int out_axis = -1;         // the columns of M; its rows are all other axes, in their order
  Location where = std::source_location::current();
};

// y = w / sigma with sigma = v^T M u, the largest singular value of M [rows, columns] as the iteration v = M u / |M u|,
// u = M^T v / |M^T v| finds it; u [columns] and v [rows] are constants in the gradient (Miyato et al. 2018;
// torch.nn.utils.spectral_norm). A sigma of 0 divides by 1. In training on a tape u and v are queued, and committed
// with the step, unless sigma is 0 or not finite; several uses on one tape follow each other. Saves w, u and v.
// ShapeError when shapes do not fit, ArgumentError for other bad options.
Var spectral_norm(const Var& w, const Buffer& u, const Buffer& v, const SpectralNormOptions& options = {});

// u and v after `options.power_iterations` steps from u, for the weight w. Errors as spectral_norm.
struct SpectralVectors {
  Tensor u, v;
};
SpectralVectors spectral_vectors(const Var& w, const Tensor& u, const SpectralNormOptions& options = {});

}  // namespace tapestry
