#include "autodiff/ops/activation.h"

#include <fmt/format.h>

#include "autodiff/cost.h"
#include "autodiff/pointwise/formulas-inl.h"
#include "autodiff/pointwise/run.h"

namespace tapestry {

Var detail::activate(const Var& x, Activation activation, std::initializer_list<double> values,
                     const CallOptions& options) {
  if (activation == Activation::none) return x;
  const auto number = static_cast<std::size_t>(activation);
  if (number > pointwise::Activations::size)
    fail<ArgumentError>(options.where, "activate", fmt::format("{} names no activation", static_cast<int>(activation)));
  return pointwise::apply(static_cast<pointwise::Op>(number - 1), values, x, options);
}

Var gelu(const Var& x, GeluOptions options) {
  if (options.approximate == GeluApproximation::none) return detail::activate(x, Activation::gelu, {}, options);
  return pointwise::apply(pointwise::op_of<pointwise::GeluTanh>(), {}, x, options);
}

Var prelu(const Var& x, const Var& weight, Location where) {
  pointwise::check_floating("prelu", x, where);
  pointwise::check_floating("prelu", weight, where);
  if (x.dtype() != weight.dtype())
    fail<ArgumentError>(where, "prelu",
                        fmt::format("x is {}, weight is {}", dtype_name(x.dtype()), dtype_name(weight.dtype())));
  const Shape &sx = x.shape(), &sw = weight.shape();
  if (sw.rank() != 1 || (sw[0] != 1 && (sx.rank() == 0 || sw[0] != sx[-1])))
    fail<ShapeError>(
        where, "prelu",
        fmt::format("weight must be [1] or [C] for x [..., C]; x is {}, weight is {}", to_string(sx), to_string(sw)));
  const kernels::Device& device = x.device();
  Tensor y = x.value().like();
  visit_floating("prelu", x.dtype(), [&]<class T>(T) {
    pointwise::prelu(device, x.value().span<T>(), weight.value().span<T>(), y.span<T>());
  });
  return record(OpInfo("prelu", elementwise_cost<Saved::inputs>), y, {x, weight}, where,
                [&device, x = x.value(), w = weight.value()](const Tensor& dy, GradSlots grads) {
                  Tensor dx = grads.overwrite(0), dw = grads.overwrite(1);
                  visit_floating("prelu", dy.dtype(), [&]<class T>(T) {
                    pointwise::prelu_backward(device, x.span<T>(), w.span<T>(), dy.span<T>(), dx.span<T>(),
                                              dw.span<T>());
                  });
                });
}

}  // namespace tapestry
