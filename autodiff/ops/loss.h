// Losses of labelled samples. `reduction` says what becomes of the losses: their mean (the default), their sum, or none
// at all. Means and sums are accumulated in double.
#pragma once

#include <cstdint>

#include "autodiff/reduction.h"
#include "autodiff/var.h"

namespace tapestry {

struct CrossEntropyOptions {
  double label_smoothing = 0;        // in [0, 1]: the share of the target that all classes divide equally
  std::int64_t ignore_index = -100;  // samples with this label count nothing
  Tensor weight = {};                // [C], of the logits' type; nothing: 1 for each class
  Reduction reduction = Reduction::mean;
  Location where = std::source_location::current();
};

// -log softmax(logits)[label] for logits [..., C] and int64 labels [...]; with label_smoothing s and weights w
//   -(1 - s) w_y log p_y - s / C * sum_c w_c log p_c,
// whose mean divides by the sum of w_y over the samples that count (PyTorch's rule). Large logits are safe. Saves the
// logits and two numbers a sample. ShapeError when shapes do not fit; ArgumentError for a label outside [0, C), for a
// mean to which no sample or no weight contributes, and for options outside their range.
Var cross_entropy(const Var& logits, const Tensor& labels, const CrossEntropyOptions& options = {});

struct NllLossOptions {
  std::int64_t ignore_index = -100;  // samples with this label count nothing
  Tensor weight = {};                // [C], of the type of x; nothing: 1 for each class
  Reduction reduction = Reduction::mean;
  Location where = std::source_location::current();
};

// -w_y x[label] for log-probabilities x [..., C] and int64 labels [...]: cross_entropy without smoothing is
// nll_loss(log_softmax(logits), labels). The mean and the errors are those of cross_entropy. Saves the labels.
Var nll_loss(const Var& x, const Tensor& labels, const NllLossOptions& options = {});

}  // namespace tapestry
