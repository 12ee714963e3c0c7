#include "layers/linear.h"

#include <fmt/format.h>

#include "autodiff/ops/matmul.h"
#include "kernels/error.h"

namespace tapestry {

void Linear::visit(Visitor& v) {
  v("weight", weight);
  if (options.bias) v("bias", bias);
}

Flow Linear::build(Builder& b, const Flow& in) {
  if (options.out < 1)
    fail<ArgumentError>(options.where, "Linear", fmt::format("out is {}, it must be positive", options.out));
  const std::int64_t features = b.size("in", options.in, in, -1, options.where);
  b.parameter(weight, {features, options.out}, options.weight_init,
              {.layout = FileLayout::linear, .flattened = in.flattened});
  if (options.bias) b.parameter(bias, {options.out}, options.bias_init, {.fans = Fans{features, options.out}});
  return b.replace(in, -1, options.out);
}

Cost Linear::cost(const Shape& in, const Shape& out) const {
  const auto outputs = static_cast<double>(out.size());
  return {outputs * (2 * static_cast<double>(in[-1]) - 1 + (options.bias ? 1 : 0)), outputs * sizeof(float)};
}

Var Linear::weight_on(const Var& x) const {
  require_built(weight, "Linear", options.where);
  return weight.on(x);
}

Var Linear::with_weight(const Var& x, const Var& weight) const {
  if (options.bias) require_built(bias, "Linear", options.where);
  return linear(x, weight, options.bias ? bias.on(x) : Var{}, options.where);
}

}  // namespace tapestry
