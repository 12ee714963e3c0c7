// Softmax as a layer. Models that are trained with cross_entropy end with logits, not with this.
#pragma once

#include "autodiff/ops/softmax.h"
#include "layers/builder.h"

namespace tapestry {

// See softmax(). An axis from the front counts the batch axis as 0.
class Softmax {
 public:
  explicit Softmax(SoftmaxOptions options = {}) : options(options) {}
  SoftmaxOptions options;
  Flow build(Builder&, const Flow& in) const { return in; }
  Var operator()(const Var& x) const { return softmax(x, options); }
};

// See log_softmax().
class LogSoftmax {
 public:
  explicit LogSoftmax(SoftmaxOptions options = {}) : options(options) {}
  SoftmaxOptions options;
  Flow build(Builder&, const Flow& in) const { return in; }
  Var operator()(const Var& x) const { return log_softmax(x, options); }
};

}  // namespace tapestry
