// Group, instance and batch norm over channels that lie last, with what follows them: a residual and a ReLU. Sums run
// over whole vectors of channels, whatever the width of a group; statistics are merged and kept in double.
#pragma once

#include <span>

#include "kernels/device.h"
#include "kernels/reference/norm_channels.h"
#include "kernels/reference/norm_windows.h"

namespace tapestry::kernels {

// y = (x - mean) rstd weight + bias + residual, then max(y, 0) if dims.relu; rstd = 1 / sqrt(variance + epsilon). stats
// get mean and biased variance, or hold them where dims.frozen. Exact where a mean is far larger than the deviation;
// equal numbers give exactly the bias; a NaN or an infinity makes its whole group NaN. With `pool`, y has the largest
// of each window alone, and there is no residual. Wu and He 2018, "Group normalization"; Ioffe and Szegedy 2015, "Batch
// normalization".
void channel_norm_forward(const Device&, const ChannelNormDims&, const ChannelNormForward<float>&);
inline void channel_norm_forward(const Device& device, const ChannelNormDims& dims,
                                 const ChannelNormForward<double>& a) {
  if (a.pool.windows == nullptr) return reference::channel_norm_forward(dims, a);
  const Block block = device.arena.allocate(a.x.size_bytes());
  ChannelNormForward<double> whole = a;
  whole.y = {reinterpret_cast<double*>(block.data()), a.x.size()};
  reference::channel_norm_forward(dims, whole);
  reference::pool_windows(a.pool, dims.channels, a.x, std::span<const double>(whole.y), a.y);
}

// With h = (x - mean) rstd, and g what of dy passes the ReLU: dresidual = g, dx = rstd (g weight - mean(g weight) - h
// mean(g weight h)) with the means over a group (0 where dims.frozen); adds sum g h to dweight and sum g to dbias. The
// ReLU passes where y > 0; y may be empty where nothing was added to the norm, which is then computed again. Empty
// outputs are skipped. Fixed pieces of samples have sums of their own, merged in double, in order. With `pool`, dy has
// one number for each window, which is the gradient of its largest element.
void channel_norm_backward(const Device&, const ChannelNormDims&, const ChannelNormBackward<float>&);
inline void channel_norm_backward(const Device& device, const ChannelNormDims& dims,
                                  const ChannelNormBackward<double>& a) {
  const Block block = device.arena.allocate(2 * dims.channels * sizeof(double));
  const Block spread = device.arena.allocate(a.pool.windows == nullptr ? 0 : a.x.size_bytes());
  ChannelNormBackward<double> whole = a;
  if (a.pool.windows != nullptr) {
    const std::span<double> all(reinterpret_cast<double*>(spread.data()), a.x.size());
    reference::spread_windows(a.pool, dims.channels, a.dy, all);
    whole.dy = all;
  }
  reference::channel_norm_backward(dims, whole, {reinterpret_cast<double*>(block.data()), 2 * dims.channels});
}

}  // namespace tapestry::kernels
