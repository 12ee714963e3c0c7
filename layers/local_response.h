// Local response normalization as a layer.
#pragma once

#include "autodiff/ops/local_response.h"
#include "layers/builder.h"

namespace tapestry {

// local_response_norm of x [N, ..., C] (torch.nn.LocalResponseNorm, whose channels come second). It has no state.
class LocalResponseNorm {
 public:
  struct Options {
    std::int64_t size = 0;  // of the window: size / 2 channels before, (size - 1) / 2 behind
    double alpha = 1e-4;
    double beta = 0.75;
    double k = 1;
    ResponseScaling scaling = ResponseScaling::mean;
    int rank = 0;  // of the inputs that are taken, the batch counts; 0: 2 or more
    Location where = std::source_location::current();
  };
  explicit LocalResponseNorm(Options options) : options(std::move(options)) {}

  Options options;

  Flow build(Builder& b, const Flow& in) const;
  Cost cost(const Shape& in, const Shape& out) const;
  Var operator()(const Var& x) const;
};

}  // namespace tapestry
