#include "autodiff/ops/conv.h"

#include <fmt/format.h>

#include "autodiff/cost.h"
#include "autodiff/ops/broadcast.h"
#include "autodiff/pointwise/formulas-inl.h"
#include "autodiff/pointwise/run.h"
#include "kernels/conv.h"

namespace tapestry {
namespace {

using kernels::ConvDims;
using kernels::Device;

// Each output meets the channels of its group at each tap: weight [kernel..., C/G, O].
OpCosts conv_cost(const OpCall& call) {
  const Shape& weight = call.inputs[1].shape;
  return product_cost(call, 2 * elements(call.output) * elements(weight) / static_cast<double>(weight[-1]));
}

// Each input meets this part of the weight [kernel..., O/G, C].
OpCosts conv_transpose_cost(const OpCall& call) {
  const Shape &x = call.inputs[0].shape, &weight = call.inputs[1].shape;
  return product_cost(call, 2 * elements(x) * elements(weight) / static_cast<double>(weight[-1]));
}

// What the ops of all ranks are called with.
struct Call {
  OpInfo op;
  Window window;
  std::int64_t groups;
  bool relu;
  CallOptions options;
};

// Whether a convolution applies this in its own pass; for an x that holds nothing, which it refuses, as for any.
bool in_one_pass(Activation activation, const Var& x) {
  return activation == Activation::none || (activation == Activation::relu && (!x.value() || x.options().fuse));
}

// Sets the kernel of the window from weight [kernel, inner, outer], whose `outer` channels must be divisible by groups.
void take_weight(Call& call, const Var& x, const Var& weight, const char* layout) {
  const int rank = call.window.rank;
  pointwise::check_floating(call.op.name, x, call.options.where);
  pointwise::check_floating(call.op.name, weight, call.options.where);
  if (x.dtype() != weight.dtype())
    fail<ArgumentError>(call.options.where, call.op.name,
                        fmt::format("x is {}, weight is {}", dtype_name(x.dtype()), dtype_name(weight.dtype())));
  call.window.in = spatial_sizes(call.op.name, rank, x.shape(), call.options.where);
  const Shape& sizes = weight.shape();
  if (sizes.rank() != rank + 2)
    fail<ShapeError>(call.options.where, call.op.name,
                     fmt::format("weight must be {}; it is {}", layout, to_string(sizes)));
  std::copy(sizes.begin(), sizes.end() - 2, call.window.kernel.end() - rank);
  if (call.groups < 1)
    fail<ArgumentError>(call.options.where, call.op.name,
                        fmt::format("groups must be at least 1; it is {}", call.groups));
  if (x.shape()[-1] < 1 || x.shape()[-1] % call.groups != 0)
    fail<ShapeError>(call.options.where, call.op.name,
                     fmt::format("{} channels cannot form {} equal groups; x is {}", x.shape()[-1], call.groups,
                                 to_string(x.shape())));
}

void check_bias(const Call& call, const Var& x, const Var& bias, std::int64_t channels) {
  if (!bias.value()) return;
  if (bias.shape() != Shape{channels})
    fail<ShapeError>(call.options.where, call.op.name,
                     fmt::format("bias must be [{}]; it is {}", channels, to_string(bias.shape())));
  if (bias.dtype() != x.dtype())
    fail<ArgumentError>(call.options.where, call.op.name,
                        fmt::format("x is {}, bias is {}", dtype_name(x.dtype()), dtype_name(bias.dtype())));
}

ConvDims conv_dims(const Window& window, std::int64_t batch, std::int64_t in, std::int64_t out, std::int64_t groups) {
  const auto sizes = [](const Window::Axes& axes) {
    ConvDims::Axes result{};
    std::copy(axes.begin(), axes.end(), result.begin());
    return result;
  };
  return {.batch = static_cast<std::size_t>(batch),
          .in_channels = static_cast<std::size_t>(in),
          .out_channels = static_cast<std::size_t>(out),
          .groups = static_cast<std::size_t>(groups),
          .in = sizes(window.in),
          .out = sizes(window.out),
          .kernel = sizes(window.kernel),
          .stride = sizes(window.stride),
          .dilation = sizes(window.dilation),
          .pad = sizes(window.before)};
}

void forward(const Device& device, const ConvDims& dims, const Tensor& x, const Tensor& weight, const Tensor& bias,
             Tensor& y) {
  visit_floating("conv", y.dtype(), [&]<class T>(T) {
    kernels::conv_forward(device, dims, x.span<T>(), weight.span<T>(), bias.span<T>(), y.span<T>());
  });
}

void backward_data(const Device& device, const ConvDims& dims, const Tensor& weight, const Tensor& dy, Tensor& dx) {
  visit_floating("conv", dx.dtype(), [&]<class T>(T) {
    kernels::conv_backward_data(device, dims, weight.span<T>(), dy.span<T>(), dx.span<T>());
  });
}

void backward_weights(const Device& device, const ConvDims& dims, const Tensor& x, const Tensor& dy, Tensor dweight,
                      Tensor dbias) {
  if (!dweight && !dbias) return;
  visit_floating("conv", dy.dtype(), [&]<class T>(T) {
    kernels::conv_backward_weights(device, dims, x.span<T>(), dy.span<T>(), dweight.span<T>(), dbias.span<T>());
  });
}

// dy where y > 0, else 0.
Tensor relu_backward(const Device& device, const Tensor& y, const Tensor& dy) {
  Tensor masked = dy.like();
  visit_floating("conv", dy.dtype(), [&]<class T>(T) {
    pointwise::backward(device, pointwise::op_of<pointwise::Relu>(), {}, y.span<T>(), dy.span<T>(), masked.span<T>());
  });
  return masked;
}

Var convolve(Call call, bool same, const Var& x, const Var& weight, const Var& bias) {
  constexpr const char* kLayout = "[kernel, C/groups, O]";
  take_weight(call, x, weight, kLayout);
  const Shape &sx = x.shape(), &sw = weight.shape();
  if (sw[-2] * call.groups != sx[-1] || sw[-1] < 1 || sw[-1] % call.groups != 0)
    fail<ShapeError>(call.options.where, call.op.name,
                     fmt::format("weight must be {} with O divisible by groups for {} channels in {} groups; it is {}",
                                 kLayout, sx[-1], call.groups, to_string(sw)));
  check_bias(call, x, bias, sw[-1]);
  if (same) pad_same(call.op.name, call.window, call.options.where);
  set_output_sizes(call.op.name, call.window, call.options.where);
  ConvDims dims = conv_dims(call.window, sx[0], sx[-1], sw[-1], call.groups);
  Tensor y = x.value().like(output_shape(call.op.name, sx, call.window, sw[-1], call.options.where));
  dims.relu = call.relu;
  const Device& device = x.device();
  forward(device, dims, x.value(), weight.value(), bias.value(), y);
  return record(call.op, y, {x, weight, optional(bias)}, call.options,
                [&device, dims, x = x.value(), weight = weight.value(), rectified = dims.relu ? y : Tensor()](
                    const Tensor& dy, GradSlots grads) {
                  const Tensor g = dims.relu ? relu_backward(device, rectified, dy) : dy;
                  if (Tensor dx = grads.overwrite(0)) backward_data(device, dims, weight, g, dx);
                  backward_weights(device, dims, x, g, grads.add(1), grads.add(2));
                });
}

Var convolve_transposed(Call call, const Window::Axes& output_padding, const Var& x, const Var& weight,
                        const Var& bias) {
  constexpr const char* kLayout = "[kernel, O/groups, I]";
  take_weight(call, x, weight, kLayout);
  const Shape &sx = x.shape(), &sw = weight.shape();
  if (sw[-1] != sx[-1] || sw[-2] < 1)
    fail<ShapeError>(call.options.where, call.op.name,
                     fmt::format("weight must be {} with I = {}; it is {}", kLayout, sx[-1], to_string(sw)));
  set_transposed_sizes(call.op.name, call.window, output_padding, call.options.where);
  const Shape shape = output_shape(call.op.name, sx, call.window, sw[-2] * call.groups, call.options.where);
  check_bias(call, x, bias, shape[-1]);
  std::swap(call.window.in, call.window.out);
  const ConvDims dims = conv_dims(call.window, sx[0], shape[-1], sx[-1], call.groups);
  Tensor y = x.value().like(shape);
  const Device& device = x.device();
  backward_data(device, dims, weight.value(), x.value(), y);
  if (bias.value()) detail::elementwise(device, kernels::ElementwiseOp::add, y, bias.value(), y);
  return record(call.op, y, {x, weight, optional(bias)}, call.options,
                [&device, dims, x = x.value(), weight = weight.value()](const Tensor& dy, GradSlots grads) {
                  if (Tensor dx = grads.overwrite(0)) forward(device, dims, dy, weight, {}, dx);
                  backward_weights(device, dims, dy, x, grads.add(1), {});
                  detail::give_gradient(device, grads, 2, Shape{static_cast<std::int64_t>(dims.in_channels)}, dy);
                });
}

template <int Axes>
Var conv(const char* name, const Var& x, const Var& weight, const Var& bias, const ConvOptions<Axes>& options) {
  if (!in_one_pass(options.activation, x)) {
    ConvOptions<Axes> alone = options;
    alone.activation = Activation::none;
    return activate(conv(name, x, weight, bias, alone), options.activation, options.where);
  }
  const Window::Axes padding = spatial(options.padding.sizes, 0);
  const Window window{.rank = Axes,
                      .stride = spatial(options.stride, 1),
                      .dilation = spatial(options.dilation, 1),
                      .before = padding,
                      .after = padding};
  return convolve({OpInfo(name, conv_cost), window, options.groups, options.activation == Activation::relu, options},
                  options.padding.same, x, weight, bias);
}

template <int Axes>
Var conv_transpose(const char* name, const Var& x, const Var& weight, const Var& bias,
                   const ConvTransposeOptions<Axes>& options) {
  if (options.activation != Activation::none) {
    ConvTransposeOptions<Axes> alone = options;
    alone.activation = Activation::none;
    return activate(conv_transpose(name, x, weight, bias, alone), options.activation, options.where);
  }
  const Window window{.rank = Axes,
                      .stride = spatial(options.stride, 1),
                      .dilation = spatial(options.dilation, 1),
                      .before = spatial(options.padding, 0)};
  return convolve_transposed({OpInfo(name, conv_transpose_cost), window, options.groups, false, options},
                             spatial(options.output_padding, 0), x, weight, bias);
}

}  // namespace

Var conv1d(const Var& x, const Var& weight, const Var& bias, const ConvOptions<1>& options) {
  return conv("conv1d", x, weight, bias, options);
}
Var conv2d(const Var& x, const Var& weight, const Var& bias, const ConvOptions<2>& options) {
  return conv("conv2d", x, weight, bias, options);
}
Var conv3d(const Var& x, const Var& weight, const Var& bias, const ConvOptions<3>& options) {
  return conv("conv3d", x, weight, bias, options);
}

Var conv_transpose1d(const Var& x, const Var& weight, const Var& bias, const ConvTransposeOptions<1>& options) {
  return conv_transpose("conv_transpose1d", x, weight, bias, options);
}
Var conv_transpose2d(const Var& x, const Var& weight, const Var& bias, const ConvTransposeOptions<2>& options) {
  return conv_transpose("conv_transpose2d", x, weight, bias, options);
}
Var conv_transpose3d(const Var& x, const Var& weight, const Var& bias, const ConvTransposeOptions<3>& options) {
  return conv_transpose("conv_transpose3d", x, weight, bias, options);
}

}  // namespace tapestry
