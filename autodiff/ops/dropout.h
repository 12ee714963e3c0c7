// Dropout.
#pragma once

#include "autodiff/var.h"

namespace tapestry {

struct DropoutOptions {
  double p = 0.5;  // the probability that an element is dropped, in [0, 1]
  Location where = std::source_location::current();
};

// y = x / (1 - p) for elements that are kept, 0 for those that are dropped (Srivastava et al. 2014). Which ones is a
// function of the context's seed, the tape's step, the number of random ops before it on the tape and the element: the
// same at any number of threads and after a resume. Off the tape all calls drop the same elements; layers leave dropout
// out in evaluation. Saves nothing: backward draws the same numbers again. ArgumentError for p outside [0, 1].
Var dropout(const Var& x, const DropoutOptions& options = {});

namespace detail {
void require_probability(const DropoutOptions& options);  // ArgumentError for p outside [0, 1]
}

}  // namespace tapestry
