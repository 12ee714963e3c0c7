#include "autodiff/ops/norm.h"

#include <fmt/format.h>

#include "autodiff/ops/norm_inputs.h"
#include "kernels/norm.h"

namespace tapestry {
namespace {

using kernels::NormDims;

NormDims layer_dims(const Var& x, const Var& weight, const Var& bias, const LayerNormOptions& options) {
  if (!x.value()) fail<ArgumentError>(options.where, "layer_norm", "the input holds nothing");
  const Shape& shape = x.shape();
  if (options.axes < 1 || options.axes > shape.rank())
    fail<ShapeError>(
        options.where, "layer_norm",
        fmt::format("axes must be in [1, {}] for x {}; it is {}", shape.rank(), to_string(shape), options.axes));
  detail::check_epsilon("layer_norm", options.epsilon, options.where);
  const Shape normalized = shape.drop_front(shape.rank() - options.axes);
  detail::check_beside("layer_norm", "weight", weight, x, normalized, options.where);
  detail::check_beside("layer_norm", "bias", bias, x, normalized, options.where);
  detail::check_beside("layer_norm", "residual", options.residual, x, shape, options.where);
  return {.rows = static_cast<std::size_t>(shape.product(0, shape.rank() - options.axes)),
          .n = static_cast<std::size_t>(normalized.size()),
          .epsilon = options.epsilon,
          .relu = options.activation == Activation::relu};
}

}  // namespace

Var layer_norm(const Var& x, const Var& weight, const Var& bias, const LayerNormOptions& options) {
  const NormDims dims = layer_dims(x, weight, bias, options);
  const kernels::Device& device = x.device();
  Tensor y = x.value().like();
  Tensor stats = x.value().like({static_cast<std::int64_t>(dims.rows), 2}, DType::float64);
  visit_floating("layer_norm", x.dtype(), [&]<class T>(T) {
    kernels::layer_norm_forward(device, dims, x.value().span<T>(), weight.value().span<T>(), bias.value().span<T>(),
                                options.residual.value().span<T>(), y.span<T>(), stats.span<double>());
  });
  const detail::NormInputs inputs(x, weight, bias, options.residual);
  const Tensor mask = inputs.mask(dims.relu, y);
  const Var out =
      record("layer_norm", y, inputs.span(), options.where,
             [&device, dims, at = inputs.places(), x = x.value(), weight = weight.value(), bias = bias.value(),
              stats = std::as_const(stats), mask](const Tensor& dy, GradSlots grads) {
               detail::NormGradients to(grads, at);
               visit_floating("layer_norm", x.dtype(), [&]<class T>(T) {
                 kernels::layer_norm_backward(device, dims, x.span<T>(), weight.span<T>(), bias.span<T>(),
                                              stats.span<double>(), mask.span<T>(), dy.span<T>(), to.dx.span<T>(),
                                              to.dweight.span<T>(), to.dbias.span<T>(), to.dresidual.span<T>());
               });
             });
  return detail::finished(out, options.activation, options.where);
}

Var layer_norm(const Var& x, const LayerNormOptions& options) { return layer_norm(x, {}, {}, options); }

}  // namespace tapestry
