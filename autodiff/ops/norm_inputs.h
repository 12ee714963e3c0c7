// What the norm ops share: checks of inputs, and the list of those that are there; not part of the public interface.
#pragma once

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <span>

#include "autodiff/record.h"

namespace tapestry::detail {

inline void check_epsilon(const char* op, double epsilon, const Location& where) {
  if (!(epsilon > 0) || !std::isfinite(epsilon))
    fail<ArgumentError>(where, op, fmt::format("epsilon must be positive and finite; it is {}", epsilon));
}

// An input beside x that may be missing.
inline void check_beside(const char* op, const char* name, const Var& input, const Var& x, const Shape& shape,
                         const Location& where) {
  if (!input.value()) return;
  if (input.shape() != shape)
    fail<ShapeError>(where, op,
                     fmt::format("{} must be {} for x {}; it is {}", name, to_string(shape), to_string(x.shape()),
                                 to_string(input.shape())));
  if (input.dtype() != x.dtype())
    fail<ArgumentError>(where, op,
                        fmt::format("{} is {}, x is {}", name, dtype_name(input.dtype()), dtype_name(x.dtype())));
}

// x, and those of weight, bias and residual that hold something, with the numbers that they have as inputs of the op.
class NormInputs {
 public:
  NormInputs(const Var& x, const Var& weight, const Var& bias, const Var& residual)
      : all_{x, x, x, x}, weight(add(weight)), bias(add(bias)), residual(add(residual)) {}
  std::span<const InputRef> span() const { return std::span(all_).first(static_cast<std::size_t>(count_)); }

 private:
  int add(const Var& input) {
    if (!input.value()) return -1;
    all_[static_cast<std::size_t>(count_)] = input;
    return count_++;
  }
  std::array<InputRef, 4> all_;
  int count_ = 1;

 public:
  int weight, bias, residual;  // -1: not there
};

inline Tensor overwrite_if(GradSlots grads, int input) { return input < 0 ? Tensor{} : grads.overwrite(input); }
inline Tensor add_if(GradSlots grads, int input) { return input < 0 ? Tensor{} : grads.add(input); }

}  // namespace tapestry::detail
