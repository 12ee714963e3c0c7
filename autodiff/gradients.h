// The gradients of one backward pass: a value that an optimizer takes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "autodiff/parameter.h"
#include "autodiff/var.h"

namespace tapestry {

// A parameter and its gradient; `gradient` holds nothing when none arrived.
struct ParameterGradient {
  StateRef parameter;
  Tensor gradient;
  bool finite = false;        // as it left backward, which looks at each gradient while it is still in the cache
  std::uint32_t version = 0;  // of its memory then

  bool known_finite() const { return finite && gradient.block().version() == version; }
};

class Gradients {
 public:
  explicit Gradients(detail::TapeState* state);  // by Tape
  Gradients(Gradients&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  Gradients& operator=(Gradients&& other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~Gradients();

  // dLoss/dx for a leaf of the tape; zeros when the loss does not depend on it. ArgumentError when x is no such leaf.
  Tensor operator[](const Var& x) const;
  // Nothing when the parameter got no gradient.
  Tensor operator[](const StateRef& parameter) const;

  // The parameters that took part, in order of first use. Gradients of parameters that share a block share one too, at
  // the same offsets, with zeros in the gaps.
  std::span<const ParameterGradient> parameters() const;
  const kernels::Device& device() const;
  std::uint64_t step() const;

  // Writes queued buffer values. Called by optimizers once they have accepted the gradients.
  void commit();

 private:
  detail::TapeState* state_;
};

}  // namespace tapestry
