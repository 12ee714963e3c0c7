// What lies between the passes of norm_channels.cc: from sums of channels to statistics of groups, and from these to
// the factors of channels. Arrays have an element for each channel, all arithmetic is in double.
#pragma once

#include "kernels/reference/norm_channels.h"
#include "kernels/target.h"

namespace tapestry::kernels {

// Factors of the channels; see NormColumns. `rstd` and `low`, the digits of the mean that the center lacks, are what
// forward_factors leaves for backward_factors.
struct NormFactors {
  float *center, *scale, *offset, *slope, *rest, *shift;
  double *rstd, *low;
};

// Sums start from the mean of some positions: differences from it are small, and squares of them keep their digits.
// Equal numbers have exactly that mean.
void first_centers(Target, const ChannelNormDims&, const float* x, float* center);

// Mean and variance of each group, from the sums [2, channels] of t = x - center and t^2. Says whether they are exact:
// where a center lies far from the mean of its channel, squares lose digits. scratch [3, channels].
bool merge_moments(Target, const ChannelNormDims&, const double* sums, const float* center, double* stats,
                   double* scratch);

// y = (x - center) scale + offset.
void forward_factors(Target, const ChannelNormDims&, const float* weight, const float* bias, const double* stats,
                     const NormFactors&);

// Where some positions of a channel have equal gradients, all are summed and scaled as differences from these: where
// all are equal, that gives exactly 0. Says whether there are any.
bool set_shifts(Target, const ChannelNormDims&, const float* dy, float* shift);

// Makes sums [2, channels] those of g h and g out of those of g t and g - shift, and sets dx = (g - shift) scale + t
// slope + rest. scratch [3, channels].
void backward_factors(Target, const ChannelNormDims&, const float* weight, double* sums, const NormFactors&,
                      double* scratch);

}  // namespace tapestry::kernels
