// Normalization of rows that have a mean and a variance of their own: layer and RMS norm. Exact where the mean is large
// against the deviation and where squares would overflow; statistics are kept in double.
#pragma once

#include "kernels/device.h"
#include "kernels/reference/norm_rows.h"

namespace tapestry::kernels {

// y = (x - mean) rstd weight + bias + residual, then max(y, 0) if dims.relu, with rstd = 1 / sqrt(var + epsilon) and
// the biased variance of each row (Ba et al. 2016, "Layer normalization"). Writes (mean, rstd) to stats. A row of equal
// numbers gives exactly the bias; a NaN or an infinity makes its whole row NaN. Without dims.center the mean is 0 and
// the variance the mean of the squares (Zhang and Sennrich 2019, "Root mean square layer normalization").
void row_norm_forward(const Device&, const RowNormDims&, const RowNormForward<float>&);
inline void row_norm_forward(const Device&, const RowNormDims& dims, const RowNormForward<double>& a) {
  reference::row_norm_forward(dims, a);
}

// With h = (x - mean) rstd, p what of dy passes the ReLU, and g = p weight: dresidual = p, dx = rstd (g - mean(g) - h
// mean(g h)), without mean(g) where the mean is 0; adds sum p h to dweight and sum p to dbias, whose partial sums over
// fixed groups of rows are merged in double, in order. The ReLU passes where y > 0; y may be empty where nothing was
// added to the norm, which is then computed again. Empty outputs are skipped.
void row_norm_backward(const Device&, const RowNormDims&, const RowNormBackward<float>&);
inline void row_norm_backward(const Device&, const RowNormDims& dims, const RowNormBackward<double>& a) {
  reference::row_norm_backward(dims, a);
}

}  // namespace tapestry::kernels
