// The norm of rows in four steps, for what the kernels of norm_rows.h and norm_channels.h do not know: elements that do
// not count, no mean, weights of any shape, statistics that are given, or shared with others between two steps. All
// arithmetic is in double.
#pragma once

#include <span>

#include "kernels/device.h"
#include "kernels/reference/norm_general.h"

namespace tapestry::kernels {

// Writes (mean, biased variance, n / count) of each row of x [rows, n] to stats [rows, 3], from the `count` elements
// whose mask [rows, n] is not 0; an empty mask counts all. Without dims.center, 0 and the mean of squares. Equal
// numbers have exactly their mean and no variance. NaN for both where nothing counts, or a NaN or an infinity does.
void norm_moments(const Device&, const GeneralNormDims&, std::span<const float> x, std::span<const float> mask,
                  std::span<double> stats);
// y = (x - mean) / sqrt(variance + epsilon) * weight + bias, at every element.
void norm_apply(const Device&, const GeneralNormDims&, const NormApply<float>&);
// With h = (x - mean) rstd and g = dy weight: writes the means of g (0 without dims.center) and of g h over each row to
// products, and adds the sums of dy h to dweight and of dy to dbias. Where dy is 0, so is dy h. Empty outputs are
// skipped.
void norm_products(const Device&, const GeneralNormDims&, const NormProducts<float>&);
// dx = rstd (g - n / count (products[0] + h products[1])), and rstd g where an element does not count or n / count is
// given as 0, as statistics are constants then; 0 where g is 0 in an element that does not count, also beside NaN.
void norm_gradient(const Device&, const GeneralNormDims&, const NormGradient<float>&);

inline void norm_moments(const Device&, const GeneralNormDims& dims, std::span<const double> x,
                         std::span<const double> mask, std::span<double> stats) {
  reference::norm_moments(dims, x, mask, stats);
}
inline void norm_apply(const Device&, const GeneralNormDims& dims, const NormApply<double>& a) {
  reference::norm_apply(dims, a);
}
inline void norm_products(const Device&, const GeneralNormDims& dims, const NormProducts<double>& a) {
  reference::norm_products(dims, a);
}
inline void norm_gradient(const Device&, const GeneralNormDims& dims, const NormGradient<double>& a) {
  reference::norm_gradient(dims, a);
}

}  // namespace tapestry::kernels
