#include "layers/norm.h"

#include <fmt/format.h>

#include <array>

#include "autodiff/ops/norm.h"
#include "kernels/error.h"

namespace tapestry {

void LayerNorm::visit(Visitor& v) {
  if (options.weight) v("weight", weight);
  if (options.bias) v("bias", bias);
}

Flow LayerNorm::build(Builder& b, const Flow& in) {
  const int count = axes();
  if (count < 1 || count > Shape::kMaxRank)
    fail<ArgumentError>(options.where, "LayerNorm", fmt::format("axes is {}, it must be from 1 to 6", count));
  std::array<std::int64_t, Shape::kMaxRank> sizes{};
  for (int i = 0; i < count; ++i) {
    const std::int64_t given = options.normalized_shape.rank() > 0 ? options.normalized_shape[i] : 0;
    sizes[static_cast<std::size_t>(i)] = b.size("normalized_shape", given, in, i - count, options.where);
  }
  const Shape normalized(std::span<const std::int64_t>(sizes).first(static_cast<std::size_t>(count)));
  if (options.weight) b.parameter(weight, normalized, options.weight_init, {.flattened = in.flattened});
  if (options.bias) b.parameter(bias, normalized, options.bias_init, {.flattened = in.flattened});
  return in;
}

Cost LayerNorm::cost(const Shape&, const Shape& out) const {
  const auto elements = static_cast<double>(out.size());
  const int affine = (options.weight ? 1 : 0) + (options.bias ? 1 : 0);
  return {elements * (6 + affine), elements * sizeof(float)};  // sum, difference, its square's sum, product
}

Var LayerNorm::operator()(const Var& x) const {
  if (options.weight) require_built(weight, "LayerNorm", options.where);
  if (options.bias) require_built(bias, "LayerNorm", options.where);
  return layer_norm(x, options.weight ? weight.on(x) : Var{}, options.bias ? bias.on(x) : Var{},
                    {.axes = axes(), .epsilon = options.epsilon, .where = options.where});
}

}  // namespace tapestry
