// A value in a computation: a tensor, and the place where it was recorded. In evaluation there is no such place.
#pragma once

#include "autodiff/context.h"
#include "autodiff/tensor.h"

namespace tapestry {

namespace detail {
struct TapeState;
}

class Var {
 public:
  Var() = default;  // holds nothing; ops refuse it

  const Tensor& value() const { return value_; }
  const Shape& shape() const { return value_.shape(); }
  DType dtype() const { return value_.dtype(); }
  double item() const { return value_.item(); }
  const kernels::Device& device() const;
  const ContextOptions& options() const;  // of its context

  bool requires_grad() const { return node_ >= 0; }
  // The same value, cut off from the tape: no gradient flows through it. It stays usable with the tape's other values.
  Var detach() const;
  // A constant beside this value, for the same computation.
  Var constant(Tensor value) const;

  detail::ContextState* context() const { return context_; }
  detail::TapeState* tape() const { return tape_; }
  std::uint32_t generation() const { return generation_; }
  std::int32_t node() const { return node_; }

  Var(Tensor value, detail::ContextState* context, detail::TapeState* tape, std::uint32_t generation, std::int32_t node)
      : value_(std::move(value)), context_(context), tape_(tape), generation_(generation), node_(node) {}

 private:
  Tensor value_;
  detail::ContextState* context_ = nullptr;
  detail::TapeState* tape_ = nullptr;
  std::uint32_t generation_ = 0;  // of the tape: a Var that outlived its tape is told apart
  std::int32_t node_ = -1;        // -1: a constant
};

}  // namespace tapestry
