// Normalization of rows that have a mean and a variance of their own. Exact where the mean is large against the
// deviation and where squares would overflow; statistics are kept in double.
#pragma once

#include <span>

#include "kernels/device.h"
#include "kernels/dims.h"
#include "kernels/reference/norm_rows.h"

namespace tapestry::kernels {

// y = (x - mean) rstd weight + bias + residual, then max(y, 0) if dims.relu, with rstd = 1 / sqrt(var + epsilon) and
// the biased variance of each row; x, y and residual (or empty) [rows, n], weight and bias [n] or empty (Ba et al.
// 2016, "Layer normalization"). Writes (mean, rstd) to stats [rows, 2]. A row of equal numbers gives exactly the bias;
// a NaN or an infinity makes its whole row NaN. Without dims.center the mean is 0 and the variance the mean of the
// squares (Zhang and Sennrich 2019, "Root mean square layer normalization").
void layer_norm_forward(const Device&, const NormDims&, std::span<const float> x, std::span<const float> weight,
                        std::span<const float> bias, std::span<const float> residual, std::span<float> y,
                        std::span<double> stats);
inline void layer_norm_forward(const Device&, const NormDims& dims, std::span<const double> x,
                               std::span<const double> weight, std::span<const double> bias,
                               std::span<const double> residual, std::span<double> y, std::span<double> stats) {
  reference::layer_norm_forward(dims, x, weight, bias, residual, y, stats);
}

// With h = (x - mean) rstd, p what of dy passes the ReLU, and g = p weight: dresidual = p, dx = rstd (g - mean(g) - h
// mean(g h)), without mean(g) where the mean is 0; adds sum p h to dweight and sum p to dbias, whose partial sums over
// fixed groups of rows are merged in double, in order. The ReLU passes where y > 0; y may be empty where nothing was
// added to the norm, which is then computed again. Empty outputs are skipped.
void layer_norm_backward(const Device&, const NormDims&, std::span<const float> x, std::span<const float> weight,
                         std::span<const float> bias, std::span<const double> stats, std::span<const float> y,
                         std::span<const float> dy, std::span<float> dx, std::span<float> dweight,
                         std::span<float> dbias, std::span<float> dresidual);
inline void layer_norm_backward(const Device&, const NormDims& dims, std::span<const double> x,
                                std::span<const double> weight, std::span<const double> bias,
                                std::span<const double> stats, std::span<const double> y, std::span<const double> dy,
                                std::span<double> dx, std::span<double> dweight, std::span<double> dbias,
                                std::span<double> dresidual) {
  reference::layer_norm_backward(dims, x, weight, bias, stats, y, dy, dx, dweight, dbias, dresidual);
}

}  // namespace tapestry::kernels
