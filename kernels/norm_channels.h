// Group, instance and batch norm over channels that lie last, with what follows them: a residual and a ReLU. Sums run
// over whole vectors of channels, whatever the width of a group; statistics are merged and kept in double.
#pragma once

#include <span>

#include "kernels/device.h"
#include "kernels/dims.h"
#include "kernels/norm/windows.h"
#include "kernels/reference/norm_windows.h"

namespace tapestry::kernels {

// y = (x - mean) rstd weight + bias + residual, then max(y, 0) if dims.relu; rstd = 1 / sqrt(variance + epsilon). x, y
// and residual (or empty) are [batch, positions, channels], weight and bias [channels] or empty. stats [batch, groups,
// 2] get mean and biased variance, or hold them where dims.frozen. Exact where a mean is far larger than the deviation;
// equal numbers give exactly the bias; a NaN or an infinity makes its whole group NaN. With `pool`, y has the largest
// of each window alone, and there is no residual. Wu and He 2018, "Group normalization"; Ioffe and Szegedy 2015, "Batch
// normalization".
void channel_norm_forward(const Device&, const ChannelNormDims&, std::span<const float> x,
                          std::span<const float> weight, std::span<const float> bias, std::span<const float> residual,
                          std::span<float> y, std::span<double> stats, const NormPool<float>& pool = {});
inline void channel_norm_forward(const Device& device, const ChannelNormDims& dims, std::span<const double> x,
                                 std::span<const double> weight, std::span<const double> bias,
                                 std::span<const double> residual, std::span<double> y, std::span<double> stats,
                                 const NormPool<double>& pool = {}) {
  if (pool.windows == nullptr) return reference::channel_norm_forward(dims, x, weight, bias, residual, y, stats);
  const Block block = device.arena.allocate(x.size_bytes());
  const std::span<double> all(reinterpret_cast<double*>(block.data()), x.size());
  reference::channel_norm_forward(dims, x, weight, bias, residual, all, stats);
  reference::pool_windows(pool, dims.channels, x, std::span<const double>(all), y);
}

// With h = (x - mean) rstd, and g what of dy passes the ReLU: dresidual = g, dx = rstd (g weight - mean(g weight) - h
// mean(g weight h)) with the means over a group (0 where dims.frozen); adds sum g h to dweight and sum g to dbias. The
// ReLU passes where y > 0; y may be empty where nothing was added to the norm, which is then computed again. Empty
// outputs are skipped. Fixed pieces of samples have sums of their own, merged in double, in order. With `pool`, dy has
// one number for each window, which is the gradient of its largest element.
void channel_norm_backward(const Device&, const ChannelNormDims&, std::span<const float> x,
                           std::span<const float> weight, std::span<const float> bias, std::span<const double> stats,
                           std::span<const float> y, std::span<const float> dy, std::span<float> dx,
                           std::span<float> dweight, std::span<float> dbias, std::span<float> dresidual,
                           const NormPool<float>& pool = {});
inline void channel_norm_backward(const Device& device, const ChannelNormDims& dims, std::span<const double> x,
                                  std::span<const double> weight, std::span<const double> bias,
                                  std::span<const double> stats, std::span<const double> y, std::span<const double> dy,
                                  std::span<double> dx, std::span<double> dweight, std::span<double> dbias,
                                  std::span<double> dresidual, const NormPool<double>& pool = {}) {
  const Block block = device.arena.allocate(2 * dims.channels * sizeof(double));
  const Block spread = device.arena.allocate(pool.windows == nullptr ? 0 : x.size_bytes());
  if (pool.windows != nullptr) {
    const std::span<double> all(reinterpret_cast<double*>(spread.data()), x.size());
    reference::spread_windows(pool, dims.channels, dy, all);
    dy = all;
  }
  reference::channel_norm_backward(dims, x, weight, bias, stats, y, dy, dx, dweight, dbias, dresidual,
                                   {reinterpret_cast<double*>(block.data()), 2 * dims.channels});
}

}  // namespace tapestry::kernels
