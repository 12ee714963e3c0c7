// Losses that compare each element with its own target: one pass forward, one backward.
#pragma once

#include "kernels/device.h"
#include "kernels/reference/pointwise_loss.h"

namespace tapestry::kernels {

// The losses of x against the target t; reference::PointwiseLosses names and defines them. weight and pos_weight have
// x's size, or are empty for 1. Returns the sum of the losses, in double; writes each of them unless `losses` is empty.
double pointwise_loss_forward(const Device&, const PointwiseLossDims&, const PointwiseLossForward<float>&);
inline double pointwise_loss_forward(const Device&, const PointwiseLossDims& dims,
                                     const PointwiseLossForward<double>& a) {
  return reference::pointwise_loss_forward(dims, a);
}

// dx = scale dy dLoss/dx; dtarget = -dx, which is right for losses of x - t. dy is one number for each element, or
// empty for 1; empty outputs are skipped.
void pointwise_loss_backward(const Device&, const PointwiseLossDims&, const PointwiseLossBackward<float>&);
inline void pointwise_loss_backward(const Device&, const PointwiseLossDims& dims,
                                    const PointwiseLossBackward<double>& a) {
  reference::pointwise_loss_backward(dims, a);
}

}  // namespace tapestry::kernels
