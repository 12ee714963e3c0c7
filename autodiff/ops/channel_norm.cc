#include "autodiff/ops/channel_norm.h"

#include <algorithm>
#include <array>

#include "autodiff/ops/reshape.h"
#include "autodiff/ops/shape.h"

namespace tapestry::detail {

FeaturesLast::FeaturesLast(const Shape& x, const Axes& features) : original_(x) {
  order_ = order_with_last(x.rank(), features);
  inverse_ = inverse_order(order_);
  moves_ = features != last_axes(x.rank(), 1);
  shape_ = sizes_of(x, other_axes(x.rank(), features)).append(sizes_of(x, features).size());
}

Var FeaturesLast::operator()(const Var& x, const Location& where) const {
  return moves_ ? reshape(permute(x, order_, where), shape_, where) : x;
}

Var FeaturesLast::back(const Var& y, const Location& where) const {
  return moves_ ? permute(reshape(y, sizes_of(original_, order_), where), inverse_, where) : y;
}

Tensor channel_stats(const kernels::ChannelNormDims& dims, const Var& x) {
  return x.value().like({static_cast<std::int64_t>(dims.batch), static_cast<std::int64_t>(dims.groups), 2},
                        DType::float64);
}

bool pools_too(const Var& x, const Axes& features, const PoolWindows& windows) {
  if (windows.axes < 1 || windows.axes > 3 || !x.options().fuse || x.shape().rank() != windows.axes + 2 ||
      x.shape().size() == 0 || features != last_axes(x.shape().rank(), 1))
    return false;
  constexpr auto kMost = static_cast<std::int64_t>(kernels::NormWindows::kMostTaps);
  std::int64_t taps = 1;
  for (int axis = 1; axis <= windows.axes; ++axis) {
    const std::int64_t size = windows.kernel[static_cast<std::size_t>(axis + 2 - windows.axes)];
    if (size < 1 || size > kMost || x.shape()[axis] % size != 0) return false;
    taps *= size;
  }
  return taps <= kMost;
}

namespace {

// What a pooled norm saves; nothing for others.
struct Pooled {
  Pooled(const Var& x, bool recorded, const PoolWindows& from) : shape(x.shape()) {
    if (from.axes == 0) return;
    const auto first = static_cast<std::size_t>(3 - from.axes);
    for (std::size_t axis = first; axis < 3; ++axis) {
      const int of_x = static_cast<int>(axis - first) + 1;
      windows.in[axis] = static_cast<std::size_t>(x.shape()[of_x]);
      windows.kernel[axis] = static_cast<std::size_t>(from.kernel[axis]);
      shape = shape.with(of_x, x.shape()[of_x] / from.kernel[axis]);
    }
    if (!recorded) return;
    largest = x.value().like(shape);
    taps = x.device().arena.allocate(static_cast<std::size_t>(shape.size()));
  }
  template <class T>
  kernels::NormPool<T> of() {
    if (windows.taps() == 1) return {};
    return {&windows,
            largest ? largest.span<T>() : std::span<T>(),
            {reinterpret_cast<std::uint8_t*>(taps.data()), taps ? static_cast<std::size_t>(shape.size()) : 0}};
  }
  kernels::NormWindows windows;
  Shape shape;
  Tensor largest;
  Block taps;
};

}  // namespace

Var channel_norm(const char* op, const kernels::ChannelNormDims& dims, const NormOperands& in, const Var& residual,
                 Tensor stats, const PoolWindows& windows, const CallOptions& options) {
  const Var& x = in.x;
  const kernels::Device& device = x.device();
  const std::array<InputRef, 4> inputs{x, optional(in.weight), optional(in.bias), optional(residual)};
  Pooled pooled(x, std::ranges::any_of(inputs, [](const InputRef& input) { return input.var->requires_grad(); }),
                windows);
  Tensor y = x.value().like(pooled.shape);
  visit_floating(op, x.dtype(), [&]<class T>(T) {
    kernels::channel_norm_forward(device, dims,
                                  {.x = x.value().span<T>(),
                                   .weight = in.weight.value().span<T>(),
                                   .bias = in.bias.value().span<T>(),
                                   .residual = residual.value().span<T>(),
                                   .y = y.span<T>(),
                                   .stats = stats.span<double>(),
                                   .pool = pooled.of<T>()});
  });
  return record(OpInfo(op, norm_cost), y, inputs, options,
                [op, &device, dims, x = x.value(), weight = in.weight.value(), bias = in.bias.value(),
                 stats = std::as_const(stats), mask = dims.relu && residual.value() ? y : Tensor{},
                 pooled](const Tensor& dy, GradSlots grads) mutable {
                  Tensor dx = grads.overwrite(0), dweight = grads.add(1), dbias = grads.add(2),
                         dresidual = grads.overwrite(3);
                  visit_floating(op, x.dtype(), [&]<class T>(T) {
                    kernels::channel_norm_backward(device, dims,
                                                   {.x = x.span<T>(),
                                                    .weight = weight.span<T>(),
                                                    .bias = bias.span<T>(),
                                                    .stats = stats.span<double>(),
                                                    .y = mask.span<T>(),
                                                    .dy = dy.span<T>(),
                                                    .dx = dx.span<T>(),
                                                    .dweight = dweight.span<T>(),
                                                    .dbias = dbias.span<T>(),
                                                    .dresidual = dresidual.span<T>(),
                                                    .pool = pooled.of<T>()});
                  });
                });
}

}  // namespace tapestry::detail
