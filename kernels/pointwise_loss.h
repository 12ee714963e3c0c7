// Losses that compare each element with its own target: one pass forward, one backward.
#pragma once

#include "kernels/device.h"
#include "kernels/reference/pointwise_loss.h"

namespace tapestry::kernels {

// The loss of x against the target t, by kind:
//   mse (x - t)^2, l1 |x - t|, huber d^2 / 2 up to |d| = delta and delta (|d| - delta / 2) beyond (Huber 1964),
//   bce_with_logits weight ((1 - t) softplus(x) + pos_weight t softplus(-x)), softplus(x) = max(x, 0) +
//   log1p(exp(-|x|)), kl_div t (log t - x), 0 for t = 0, and kl_div_log exp(t) (t - x).
// weight and pos_weight have x's size, or are empty for 1. Returns the sum of the losses, in double; writes each of
// them unless `losses` is empty.
double pointwise_loss_forward(const Device&, const PointwiseLossDims&, const PointwiseLossForward<float>&);
inline double pointwise_loss_forward(const Device&, const PointwiseLossDims& dims,
                                     const PointwiseLossForward<double>& a) {
  return reference::pointwise_loss_forward(dims, a);
}

// dx = scale dy dLoss/dx; dtarget = -dx, which is right for mse, l1 and huber. dy is one number for each element, or
// empty for 1; empty outputs are skipped. The slope of l1 at 0 is 0.
void pointwise_loss_backward(const Device&, const PointwiseLossDims&, const PointwiseLossBackward<float>&);
inline void pointwise_loss_backward(const Device&, const PointwiseLossDims& dims,
                                    const PointwiseLossBackward<double>& a) {
  reference::pointwise_loss_backward(dims, a);
}

}  // namespace tapestry::kernels
