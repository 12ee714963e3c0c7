// What the norm layers share: parameters, axes and checks; not part of the public interface.
#pragma once

#include <string_view>

#include "autodiff/axes.h"
#include "autodiff/replicas.h"
#include "layers/builder.h"
#include "layers/fusion.h"

namespace tapestry::detail {

// weight and bias, where the layer has them.
template <class L>
void visit_affine(L& layer, Visitor& v) {
  if (layer.has_weight()) v("weight", layer.weight);
  if constexpr (requires { layer.bias; })
    if (layer.has_bias()) v("bias", layer.bias);
}

struct NormParameter {
  const Initializer& initializer;
  bool trainable = true;
};
// in.flattened where the parameter has one number for each of what was flattened; files keep PyTorch's order then.
Shape flattened_for(const Shape& shape, const Flow& in);
void declare(Builder& b, Parameter& parameter, const Shape& shape, const NormParameter& with, const Flow& in);

template <class L>
void build_affine(L& layer, Builder& b, const Flow& in, const Shape& shape) {
  const auto& o = layer.options;
  if (layer.has_weight()) declare(b, layer.weight, shape, {o.weight_init, o.trainable}, in);
  if constexpr (requires { layer.bias; })
    if (layer.has_bias()) declare(b, layer.bias, shape, {o.bias_init, o.trainable}, in);
}

// The parameter as an input beside x; a Var that holds nothing where the layer has none.
Var affine_on(const Parameter& parameter, bool given, const Var& x, std::string_view layer, const Location& where);
inline const ReplicaAxes* given(const ReplicaAxes& replicas) {
  return replicas.names.empty() && replicas.index_groups.empty() ? nullptr : &replicas;
}
// What the ops' options have in common, for this call of the layer and what it takes of its tail.
template <class To, class From>
To common(const From& o, const Tensor& mask, const Tail& taken) {
  return {.epsilon = o.epsilon,
          .use_fast_variance = o.use_fast_variance,
          .mask = mask,
          .dtype = o.dtype,
          .replicas = given(o.replicas),
          .activation = either(o.activation, taken.activation),
          .residual = taken.residual,
          .where = o.where};
}
// Operations on each element. With a mean: its sum; a difference, a square and their sum; a difference and a product.
// Without: a square, the sum, a product.
inline constexpr int kCenteredNorm = 6, kUncenteredNorm = 3;

// `operations` for each element, and one for weight and bias each.
template <class L>
Cost layer_cost(const L& layer, const Shape& out, int operations) {
  if (layer.has_weight()) ++operations;
  if constexpr (requires { layer.has_bias(); }) operations += layer.has_bias() ? 1 : 0;
  const auto elements = static_cast<double>(out.size());
  return {elements * operations, elements * sizeof(float)};
}

// ArgumentError for an epsilon that is not positive and finite, and for an integer dtype.
void check_numbers(std::string_view layer, double epsilon, const std::optional<DType>& dtype, const Location& where);
// ArgumentError unless it is in [0, 1]; `option` is what the user calls it.
void check_fraction(std::string_view layer, std::string_view option, double value, const Location& where);
// ArgumentError unless the number of axes that a user wants of inputs is in [low, high], or 0, for any.
void check_rank_option(std::string_view layer, int rank, int low, int high, const Location& where);
// ShapeError unless x has from `low` to `high` axes; `rank` counts the batch, `shape` may leave it out.
void check_rank(std::string_view layer, int rank, int low, int high, const Shape& shape, const Location& where);
// As rising_axes, for an x of which only the rank is known, and in the words of the sources.
Axes canonical(std::string_view layer, std::string_view option, const Axes& axes, int rank, const Location& where);

// The sizes of axes of x [N, in], in x's order; `given` has what the user said, nothing or a size for each axis.
// ShapeError where they are not known, or the batch is among them.
Shape feature_sizes(std::string_view layer, std::string_view option, const Shape& given, const Axes& axes,
                    const Builder& b, const Flow& in, const Location& where);
// The same where the user says one number: of elements along all of `axes`; 0: nothing.
Shape channel_sizes(std::string_view layer, std::string_view option, std::int64_t given, const Axes& axes,
                    const Builder& b, const Flow& in, const Location& where);
// ShapeError unless x has as many channels as the user said; 0: nothing.
void check_channels(std::string_view layer, std::string_view option, std::int64_t given, const Axes& axes,
                    const Shape& x, const Location& where);

}  // namespace tapestry::detail
