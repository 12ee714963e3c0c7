// What the norm ops share: checks, and the list of the inputs that are there; not part of the public interface.
#pragma once

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <span>
#include <string_view>

#include "autodiff/ops/activation.h"
#include "autodiff/record.h"

namespace tapestry::detail {

inline void check_epsilon(std::string_view op, double epsilon, const Location& where) {
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

// The numbers that weight, bias and residual have among the inputs of the op; -1: not there.
struct NormPlaces {
  int weight = -1, bias = -1, residual = -1;
};

// x, and those of weight, bias and residual that hold something.
class NormInputs {
 public:
  NormInputs(const Var& x, const Var& weight, const Var& bias, const Var& residual) : all_{x, x, x, x} {
    places_ = {add(weight), add(bias), add(residual)};
  }
  std::span<const InputRef> span() const { return std::span(all_).first(static_cast<std::size_t>(count_)); }
  const NormPlaces& places() const { return places_; }
  // What backward needs to know where the ReLU passes: y, or nothing where it can compute that from x.
  Tensor mask(bool relu, const Tensor& y) const { return relu && places_.residual >= 0 ? y : Tensor{}; }

 private:
  int add(const Var& input) {
    if (!input.value()) return -1;
    all_[static_cast<std::size_t>(count_)] = input;
    return count_++;
  }
  std::array<InputRef, 4> all_;
  int count_ = 1;
  NormPlaces places_;
};

// Where backward writes; nothing for inputs that are not there or that nobody asks about.
struct NormGradients {
  NormGradients(GradSlots grads, const NormPlaces& at)
      : dx(grads.overwrite(0)),
        dweight(at.weight < 0 ? Tensor{} : grads.add(at.weight)),
        dbias(at.bias < 0 ? Tensor{} : grads.add(at.bias)),
        dresidual(at.residual < 0 ? Tensor{} : grads.overwrite(at.residual)) {}
  Tensor dx, dweight, dbias, dresidual;
};

// The activation as an op of its own, unless the norm has computed it.
inline Var finished(const Var& y, Activation activation, const Location& where) {
  return activation == Activation::relu ? y : activate(y, activation, where);
}

}  // namespace tapestry::detail
