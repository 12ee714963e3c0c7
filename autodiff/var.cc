#include "autodiff/var.h"

#include "autodiff/context_state.h"
#include "kernels/error.h"

namespace tapestry {

const kernels::Device& Var::device() const {
  if (context_ == nullptr) throw ArgumentError("this Var holds nothing");
  return context_->device;
}

const ContextOptions& Var::options() const {
  if (context_ == nullptr) throw ArgumentError("this Var holds nothing");
  return context_->options;
}

Var Var::detach() const { return constant(value_); }

Var Var::constant(Tensor value) const { return Var(std::move(value), context_, tape_, generation_, -1); }

}  // namespace tapestry
