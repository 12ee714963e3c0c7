// Normalization of rows that have a mean and a variance of their own. Exact where the mean is large against the
// deviation and where squares would overflow; statistics are kept in double.
#pragma once

#include <span>

#include "kernels/device.h"
#include "kernels/dims.h"
#include "kernels/reference/norm.h"

namespace tapestry::kernels {

// y = (x - mean) rstd weight + bias with rstd = 1 / sqrt(var + epsilon) and the biased variance of each row; x [rows,
// n], weight and bias [n] or empty (Ba et al. 2016, "Layer normalization"). Writes (mean, rstd) to stats [rows, 2]. A
// row of equal numbers gives exactly the bias; a NaN or an infinity makes its whole row NaN.
void layer_norm_forward(const Device&, const NormDims&, std::span<const float> x, std::span<const float> weight,
                        std::span<const float> bias, std::span<float> y, std::span<double> stats);
inline void layer_norm_forward(const Device&, const NormDims& dims, std::span<const double> x,
                               std::span<const double> weight, std::span<const double> bias, std::span<double> y,
                               std::span<double> stats) {
  reference::layer_norm_forward(dims, x, weight, bias, y, stats);
}

// With g = dy weight and h = (x - mean) rstd: dx = rstd (g - mean(g) - h mean(g h)); adds sum dy h to dweight and sum
// dy to dbias, whose partial sums over fixed groups of rows are merged in double, in order. Empty outputs are skipped.
void layer_norm_backward(const Device&, const NormDims&, std::span<const float> x, std::span<const float> weight,
                         std::span<const double> stats, std::span<const float> dy, std::span<float> dx,
                         std::span<float> dweight, std::span<float> dbias);
inline void layer_norm_backward(const Device&, const NormDims& dims, std::span<const double> x,
                                std::span<const double> weight, std::span<const double> stats,
                                std::span<const double> dy, std::span<double> dx, std::span<double> dweight,
                                std::span<double> dbias) {
  reference::layer_norm_backward(dims, x, weight, stats, dy, dx, dweight, dbias);
}

}  // namespace tapestry::kernels
