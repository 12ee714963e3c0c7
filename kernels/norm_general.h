// The norm of rows in four steps, for what the kernels of norm.h and norm_channels.h do not know: elements that do not
// count, no mean, weights of any shape, statistics that are given, or shared with others between two steps. All
// arithmetic is in double.
#pragma once

#include <span>

#include "kernels/device.h"
#include "kernels/dims.h"
#include "kernels/reference/norm_general.h"

namespace tapestry::kernels {

// Writes (mean, biased variance, n / count) of each row of x [rows, n] to stats [rows, 3], from the `count` elements
// whose mask [rows, n] is not 0; an empty mask counts all. Without dims.center, 0 and the mean of squares. Equal
// numbers have exactly their mean and no variance. NaN for both where nothing counts, or a NaN or an infinity does.
void norm_moments(const Device&, const NormStepsDims&, std::span<const float> x, std::span<const float> mask,
                  std::span<double> stats);
// y = (x - mean) / sqrt(variance + epsilon) * weight + bias, at every element; weight and bias [weight_rows, n] or
// empty.
void norm_apply(const Device&, const NormStepsDims&, std::span<const float> x, std::span<const float> weight,
                std::span<const float> bias, std::span<const double> stats, std::span<float> y);
// With h = (x - mean) rstd and g = dy weight: writes the means of g (0 without dims.center) and of g h over each row to
// products [rows, 2], and adds the sums of dy h to dweight and of dy to dbias. Where dy is 0, so is dy h. Empty outputs
// are skipped.
void norm_products(const Device&, const NormStepsDims&, std::span<const float> x, std::span<const float> weight,
                   std::span<const double> stats, std::span<const float> dy, std::span<double> products,
                   std::span<float> dweight, std::span<float> dbias);
// dx = rstd (g - n / count (products[0] + h products[1])), and rstd g where an element does not count or n / count is
// given as 0, as statistics are constants then; 0 where g is, if nothing counts.
void norm_gradient(const Device&, const NormStepsDims&, std::span<const float> x, std::span<const float> mask,
                   std::span<const float> weight, std::span<const double> stats, std::span<const double> products,
                   std::span<const float> dy, std::span<float> dx);

inline void norm_moments(const Device&, const NormStepsDims& dims, std::span<const double> x,
                         std::span<const double> mask, std::span<double> stats) {
  reference::norm_moments(dims, x, mask, stats);
}
inline void norm_apply(const Device&, const NormStepsDims& dims, std::span<const double> x,
                       std::span<const double> weight, std::span<const double> bias, std::span<const double> stats,
                       std::span<double> y) {
  reference::norm_apply(dims, x, weight, bias, stats, y);
}
inline void norm_products(const Device&, const NormStepsDims& dims, std::span<const double> x,
                          std::span<const double> weight, std::span<const double> stats, std::span<const double> dy,
                          std::span<double> products, std::span<double> dweight, std::span<double> dbias) {
  reference::norm_products(dims, x, weight, stats, dy, products, dweight, dbias);
}
inline void norm_gradient(const Device&, const NormStepsDims& dims, std::span<const double> x,
                          std::span<const double> mask, std::span<const double> weight, std::span<const double> stats,
                          std::span<const double> products, std::span<const double> dy, std::span<double> dx) {
  reference::norm_gradient(dims, x, mask, weight, stats, products, dy, dx);
}

}  // namespace tapestry::kernels
