#include "autodiff/ops/norm.h"

#include <fmt/format.h>

#include <cmath>

#include "autodiff/record.h"
#include "kernels/norm.h"

namespace tapestry {
namespace {

using kernels::NormDims;

void check_affine(const char* name, const Var& affine, const Var& x, const Shape& shape, const Location& where) {
  if (!affine.value()) return;
  if (affine.shape() != shape)
    fail<ShapeError>(where, "layer_norm",
                     fmt::format("{} must be {} for x {}; it is {}", name, to_string(shape), to_string(x.shape()),
                                 to_string(affine.shape())));
  if (affine.dtype() != x.dtype())
    fail<ArgumentError>(where, "layer_norm",
                        fmt::format("{} is {}, x is {}", name, dtype_name(affine.dtype()), dtype_name(x.dtype())));
}

NormDims layer_dims(const Var& x, const Var& weight, const Var& bias, const LayerNormOptions& options) {
  if (!x.value()) fail<ArgumentError>(options.where, "layer_norm", "the input holds nothing");
  const Shape& shape = x.shape();
  if (options.axes < 1 || options.axes > shape.rank())
    fail<ShapeError>(
        options.where, "layer_norm",
        fmt::format("axes must be in [1, {}] for x {}; it is {}", shape.rank(), to_string(shape), options.axes));
  if (!(options.epsilon > 0) || !std::isfinite(options.epsilon))
    fail<ArgumentError>(options.where, "layer_norm",
                        fmt::format("epsilon must be positive and finite; it is {}", options.epsilon));
  const Shape normalized = shape.drop_front(shape.rank() - options.axes);
  check_affine("weight", weight, x, normalized, options.where);
  check_affine("bias", bias, x, normalized, options.where);
  return {.rows = static_cast<std::size_t>(shape.product(0, shape.rank() - options.axes)),
          .n = static_cast<std::size_t>(normalized.size()),
          .epsilon = options.epsilon};
}

}  // namespace

Var layer_norm(const Var& x, const Var& weight, const Var& bias, const LayerNormOptions& options) {
  const NormDims dims = layer_dims(x, weight, bias, options);
  const kernels::Device& device = x.device();
  Tensor y = x.value().like();
  Tensor stats = x.value().like({static_cast<std::int64_t>(dims.rows), 2}, DType::float64);
  visit_floating("layer_norm", x.dtype(), [&]<class T>(T) {
    kernels::layer_norm_forward(device, dims, x.value().span<T>(), weight.value().span<T>(), bias.value().span<T>(),
                                y.span<T>(), stats.span<double>());
  });
  const bool weighted = static_cast<bool>(weight.value()), biased = static_cast<bool>(bias.value());
  const auto backward = [&device, dims, weighted, biased, x = x.value(), weight = weight.value(), stats](
                            const Tensor& dy, GradSlots grads) {
    Tensor dx = grads.overwrite(0);
    Tensor dweight = weighted ? grads.add(1) : Tensor{};
    Tensor dbias = biased ? grads.add(weighted ? 2 : 1) : Tensor{};
    visit_floating("layer_norm", x.dtype(), [&]<class T>(T) {
      kernels::layer_norm_backward(device, dims, x.span<T>(), weight.span<T>(), stats.span<double>(), dy.span<T>(),
                                   dx.span<T>(), dweight.span<T>(), dbias.span<T>());
    });
  };
  if (weighted && biased) return record("layer_norm", y, {x, weight, bias}, options.where, backward);
  if (weighted) return record("layer_norm", y, {x, weight}, options.where, backward);
  if (biased) return record("layer_norm", y, {x, bias}, options.where, backward);
  return record("layer_norm", y, {x}, options.where, backward);
}

Var layer_norm(const Var& x, const LayerNormOptions& options) { return layer_norm(x, {}, {}, options); }

}  // namespace tapestry
