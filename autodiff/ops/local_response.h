// Local response normalization: each channel is divided by a power of its neighbours' squares.
#pragma once

#include "autodiff/var.h"

namespace tapestry {

// What alpha multiplies: the mean of the squares over the window, where channels that do not exist count as zeros
// (PyTorch), or their sum (Krizhevsky et al. 2012, neupy).
enum class ResponseScaling { mean, sum };

struct LocalResponseNormOptions {
  std::int64_t size = 0;  // of the window: size / 2 channels before, (size - 1) / 2 behind
  double alpha = 1e-4;    // >= 0
  double beta = 0.75;
  double k = 1;  // > 0
  ResponseScaling scaling = ResponseScaling::mean;
  Location where = std::source_location::current();
};

// y[..., i] = x[..., i] / (k + a * the sum of x[..., j]^2 over i's window)^beta for x [..., C], with a = alpha / size,
// or alpha (torch.nn.functional.local_response_norm, whose channels come second; Krizhevsky et al. 2012). Sums are made
// in double: no square of a float overflows. Saves x. ShapeError for x without axes, ArgumentError for a size below 1,
// a k that is not positive, a negative alpha, or numbers that are not finite.
Var local_response_norm(const Var& x, const LocalResponseNormOptions& options);

}  // namespace tapestry
