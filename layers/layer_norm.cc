#include "layers/layer_norm.h"

#include <fmt/format.h>

#include "kernels/error.h"

namespace tapestry {
namespace {

template <class Options>
int trailing(const Options& options) {
  return options.normalized_shape.rank() > 0 ? options.normalized_shape.rank() : options.axes;
}

// The axes of x along which weight and bias lie.
template <class Options>
Axes features(const Options& options) {
  if (options.feature_axes.count() > 0) return options.feature_axes;
  if (options.reduction_axes.count() > 0) return options.reduction_axes;
  Axes last;
  for (int axis = -trailing(options); axis < 0; ++axis) last.add(axis);
  return last;
}

template <class L>
Flow build_rows(const char* name, L& layer, Builder& b, const Flow& in) {
  const auto& o = layer.options;
  detail::check_numbers(name, o.epsilon, o.dtype, o.where);
  if (trailing(o) < 1 || trailing(o) > Shape::kMaxRank)
    fail<ArgumentError>(o.where, name, fmt::format("axes is {}, it must be from 1 to 6", trailing(o)));
  const Shape shape = detail::feature_sizes(name, "normalized_shape", o.normalized_shape, features(o), b, in, o.where);
  if (in.shape) detail::canonical(name, "reduction_axes", o.reduction_axes, in.shape->rank() + 1, o.where);
  detail::build_affine(layer, b, in, shape);
  return in;
}

// ShapeError unless x has the normalized shape along the feature axes, whose order does not matter.
template <class Options>
void check_sizes(const char* name, const Options& options, const Var& x) {
  if (options.normalized_shape.rank() == 0) return;
  const Axes axes = features(options);
  const int rank = x.shape().rank();
  if (!detail::fault_of(axes, rank) &&
      detail::sizes_of(x.shape(), detail::rising(axes, rank)) == options.normalized_shape)
    return;
  fail<ShapeError>(options.where, name,
                   fmt::format("normalized_shape is {}, x {} must have it along the axes {}",
                               to_string(options.normalized_shape), to_string(x.shape()), to_string(axes)));
}

// What the op is told in this call.
template <class To, class Options>
To row_options(const Options& options, const Tensor& mask, const Tail& taken) {
  To to = detail::common<To>(options, mask, taken);
  to.axes = trailing(options);
  to.reduction_axes = options.reduction_axes;
  to.feature_axes = options.feature_axes;
  return to;
}

}  // namespace

Flow LayerNorm::build(Builder& b, const Flow& in) { return build_rows("LayerNorm", *this, b, in); }

Cost LayerNorm::cost(const Shape&, const Shape& out) const {
  return detail::layer_cost(*this, out, detail::kCenteredNorm);
}

Var LayerNorm::operator()(const Var& x, const Tensor& mask, const Tail& tail) const {
  check_sizes("LayerNorm", options, x);
  return detail::hand_tail(part(), tail, [&](const Tail& taken) {
    return layer_norm(x, detail::affine_on(weight, has_weight(), x, "LayerNorm", options.where),
                      detail::affine_on(bias, has_bias(), x, "LayerNorm", options.where),
                      row_options<LayerNormOptions>(options, mask, taken));
  });
}

Flow RMSNorm::build(Builder& b, const Flow& in) { return build_rows("RMSNorm", *this, b, in); }

Cost RMSNorm::cost(const Shape&, const Shape& out) const {
  return detail::layer_cost(*this, out, detail::kUncenteredNorm);
}

Var RMSNorm::operator()(const Var& x, const Tensor& mask, const Tail& tail) const {
  check_sizes("RMSNorm", options, x);
  return detail::hand_tail(part(), tail, [&](const Tail& taken) {
    return rms_norm(x, detail::affine_on(weight, has_weight(), x, "RMSNorm", options.where),
                    row_options<RmsNormOptions>(options, mask, taken));
  });
}

}  // namespace tapestry
