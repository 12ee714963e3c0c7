// Proof that a gradient is right: analytic derivatives against differences, in double.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "autodiff/tape.h"

namespace tapestry {

struct GradcheckOptions {
  double rtol = 1e-6;
  double atol = 1e-8;
  double step = 1e-3;      // relative to max(1, |x|); 4-point differences are exact to step^4
  std::uint64_t seed = 1;  // of the random directions
};

struct GradcheckResult {
  bool passed = true;
  double worst = 0;          // largest |analytic - numeric| / (atol + rtol |numeric|); passed means at most 1
  std::int64_t entries = 0;  // derivatives compared
  std::string message;       // the worst entry: input, index, analytic and numeric value
  explicit operator bool() const { return passed; }
};

// Compares the derivatives of y = f(inputs) from the tape with (8 (y(x+h) - y(x-h)) - (y(x+2h) - y(x-2h))) / 12h, for
// every element of every input (all float64) and every element of y, or 8 random combinations of y's elements where the
// Jacobian has more than 4096 entries. f must be the same function at every call; keep inputs away from its kinks.
GradcheckResult gradcheck(Context& context, const std::function<Var(std::span<const Var>)>& f,
                          std::vector<Tensor> inputs, GradcheckOptions options = {});

}  // namespace tapestry
