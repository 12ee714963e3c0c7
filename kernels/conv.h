// Convolutions of channels-last images in one to three dimensions.
#pragma once

#include <span>

#include "kernels/device.h"
#include "kernels/reference/conv.h"

namespace tapestry::kernels {

// y[n, p, o] = bias[o] + sum over taps t and channels c of x[n, p stride - pad + t dilation, c] weight[t, c, o]; an
// empty bias adds nothing. Group g of the outputs reads group g of the channels.
void conv_forward(const Device&, const ConvDims&, std::span<const float> x, std::span<const float> weight,
                  std::span<const float> bias, std::span<float> y);
inline void conv_forward(const Device&, const ConvDims& dims, std::span<const double> x, std::span<const double> weight,
                         std::span<const double> bias, std::span<double> y) {
  reference::conv_forward(dims, x, weight, bias, y);
}

// dx[n, q, c] = the sum over the p, t and o with p stride - pad + t dilation = q of dy[n, p, o] weight[t, c, o].
void conv_backward_data(const Device&, const ConvDims&, std::span<const float> weight, std::span<const float> dy,
                        std::span<float> dx);
inline void conv_backward_data(const Device&, const ConvDims& dims, std::span<const double> weight,
                               std::span<const double> dy, std::span<double> dx) {
  reference::conv_backward_data(dims, weight, dy, dx);
}

// dweight[t, c, o] += the sum over n and p of x[n, p stride - pad + t dilation, c] dy[n, p, o], and dbias[o] += the sum
// of dy[n, p, o]. An empty output is skipped. Sums of dweight are made of those of at most 256 pixels (of
// tiles 512, below precision highest 1024), added up chunk by chunk of the pixels, then over the chunks in order; those
// of dbias of at most 16, added up in double.
void conv_backward_weights(const Device&, const ConvDims&, std::span<const float> x, std::span<const float> dy,
                           std::span<float> dweight, std::span<float> dbias);
inline void conv_backward_weights(const Device&, const ConvDims& dims, std::span<const double> x,
                                  std::span<const double> dy, std::span<double> dweight, std::span<double> dbias) {
  reference::conv_backward_weights(dims, x, dy, dweight, dbias);
}

}  // namespace tapestry::kernels
