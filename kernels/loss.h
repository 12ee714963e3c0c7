// Losses of labelled rows: one pass forward and one backward. Sums are merged in double, in an order given by the
// sizes.
#pragma once

#include "kernels/device.h"
#include "kernels/reference/loss.h"

namespace tapestry::kernels {

// With p = softmax(x), label y, w = 1 where `weight` [classes] is empty, and smoothing s, the loss of a row is
//   -(1 - s) w_y log p_y - s / classes * sum_c w_c log p_c,  and 0 for an ignored one (Szegedy et al. 2016, section 7).
// Writes (max, 1 / sum exp(x - max)) of each row to stats [rows, 2], and the rows' losses unless `losses` is empty.
// Returns the sum of the losses. Labels are in range or ignored.
double cross_entropy_forward(const Device&, const CrossEntropyDims&, const CrossEntropyForward<float>&);
inline double cross_entropy_forward(const Device&, const CrossEntropyDims& dims, const CrossEntropyForward<double>& a) {
  return reference::cross_entropy_forward(dims, a);
}

// dx_c = scale dy (((1 - s) w_y + s W / classes) p_c - (1 - s) w_y [c = y] - s w_c / classes), W = sum_c w_c; dy is
// that of the row, or 1 where dy is empty.
void cross_entropy_backward(const Device&, const CrossEntropyDims&, const CrossEntropyBackward<float>&);
inline void cross_entropy_backward(const Device&, const CrossEntropyDims& dims, const CrossEntropyBackward<double>& a) {
  reference::cross_entropy_backward(dims, a);
}

// The sum of the rows' losses -w_y x_y, in double; writes each of them unless `losses` is empty. One number of a row is
// read, so plain loops serve both types.
using reference::nll_loss_forward;
// dx = -scale dy w_y at the label of each row, 0 elsewhere; dy is that of the row, or 1 where dy is empty.
using reference::nll_loss_backward;

}  // namespace tapestry::kernels
