#include "autodiff/gradient.h"

namespace tapestry {

ValueAndGradients value_and_gradients(Context& context, const std::function<Var(std::span<const Var>)>& f,
                                      std::span<const Tensor> inputs) {
  Tape tape{context};
  std::vector<Var> variables;
  for (const Tensor& input : inputs) variables.push_back(tape.variable(input));
  const Var y = f(variables);
  const Gradients gradients = tape.backward(y);
  ValueAndGradients result{y.value(), {}};
  for (const Var& variable : variables) result.gradients.push_back(gradients[variable]);
  return result;
}

}  // namespace tapestry
