// The gradient of a function of several inputs, without a tape in sight.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "autodiff/tape.h"

namespace tapestry {

struct ValueAndGradients {
  Tensor value;                   // of one element
  std::vector<Tensor> gradients;  // dvalue/dinput, one for each input
};

// y = f(inputs) and its gradient with respect to every input (jax.value_and_grad). f gives one element; inputs are
// float32 or float64. Throws what f, Tape::variable and Tape::backward throw.
ValueAndGradients value_and_gradients(Context& context, const std::function<Var(std::span<const Var>)>& f,
                                      std::span<const Tensor> inputs);
inline ValueAndGradients value_and_gradients(Context& context, const std::function<Var(std::span<const Var>)>& f,
                                             std::initializer_list<Tensor> inputs) {
  return value_and_gradients(context, f, std::span(inputs.begin(), inputs.size()));
}

}  // namespace tapestry
