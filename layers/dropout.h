// Dropout as a layer.
#pragma once

#include "autodiff/ops/dropout.h"
#include "layers/builder.h"

namespace tapestry {

// See dropout(). In evaluation y = x.
class Dropout {
 public:
  explicit Dropout(DropoutOptions options = {}) : options(options) {}
  DropoutOptions options;
  Flow build(Builder&, const Flow& in) const {
    detail::require_probability(options);
    return in;
  }
  Var operator()(const Var& x, Mode mode) const { return mode == Mode::train ? dropout(x, options) : x; }
};

}  // namespace tapestry
