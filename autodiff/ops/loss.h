// Losses. `reduction` says what becomes of the losses of the samples or elements: their mean (the default), their sum,
// or nothing. Means and sums are accumulated in double; the mean of nothing is an ArgumentError.
#pragma once

#include <cstdint>

#include "autodiff/var.h"

namespace tapestry {

enum class Reduction { mean, sum, none };

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

}  // namespace tapestry
