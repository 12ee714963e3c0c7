#include "autodiff/ops/pool.h"

#include <fmt/format.h>

#include <limits>

#include "autodiff/cost.h"
#include "autodiff/record.h"
#include "kernels/error.h"
#include "kernels/pool.h"

namespace tapestry {
namespace {

using kernels::Device;
using kernels::PoolDims;

constexpr std::int64_t kMostTaps = std::numeric_limits<std::int32_t>::max();

// The batch, channels and positions of x [N, in, C].
PoolDims input_dims(const char* op, const Shape& shape, const Window::Axes& in, const Location& where) {
  for (const std::int64_t size : in)
    if (size < 1 || size > kMostTaps)
      fail<ShapeError>(where, op,
                       fmt::format("x {} needs 1 to {} positions along each axis", to_string(shape), kMostTaps));
  PoolDims dims{.batch = static_cast<std::size_t>(shape[0]), .channels = static_cast<std::size_t>(shape[-1])};
  std::copy(in.begin(), in.end(), dims.in.begin());
  return dims;
}

void require_input(const char* op, const Var& x, const Location& where) {
  if (!x.value()) fail<ArgumentError>(where, op, "the input holds nothing");
  visit_floating(op, x.dtype(), [](auto) {});
}

// ArgumentError when the tap of a window does not fit its type.
void check_taps(const char* op, const PoolDims& dims, const Location& where) {
  const double taps =
      static_cast<double>(dims.kernel[0]) * static_cast<double>(dims.kernel[1]) * static_cast<double>(dims.kernel[2]);
  if (taps > static_cast<double>(kMostTaps))
    fail<ArgumentError>(where, op, fmt::format("the window has {} taps, more than {}", taps, kMostTaps));
}

struct Pooling {
  PoolDims dims;
  Shape y;
};

template <int Axes>
Pooling sliding(const char* op, const Shape& x, const Sizes<Axes>& kernel, const Sizes<Axes>& stride,
                const Sizes<Axes>& padding, const Sizes<Axes>& dilation, bool ceil, const Location& where) {
  Window window{.rank = Axes,
                .in = spatial_sizes(op, Axes, x, where),
                .kernel = spatial(kernel, 1),
                .stride = spatial(stride, 1),
                .dilation = spatial(dilation, 1),
                .before = spatial(padding, 0),
                .after = spatial(padding, 0)};
  PoolDims dims = input_dims(op, x, window.in, where);
  for (std::size_t axis = 0; axis < 3; ++axis)
    if (window.stride[axis] == 0) window.stride[axis] = window.kernel[axis];
  set_output_sizes(op, window, where, ceil);
  for (std::size_t axis = 0; axis < 3; ++axis) {
    if (window.before[axis] > window.kernel[axis] / 2)
      fail<ArgumentError>(
          where, op,
          fmt::format("padding {} is more than half of kernel {}", window.before[axis], window.kernel[axis]));
  }
  std::copy(window.out.begin(), window.out.end(), dims.out.begin());
  std::copy(window.kernel.begin(), window.kernel.end(), dims.kernel.begin());
  std::copy(window.stride.begin(), window.stride.end(), dims.stride.begin());
  std::copy(window.dilation.begin(), window.dilation.end(), dims.dilation.begin());
  std::copy(window.before.begin(), window.before.end(), dims.pad.begin());
  check_taps(op, dims, where);
  return {dims, output_shape(op, x, window, x[-1], where)};
}

// Windows that cut `in` into `out` parts.
PoolDims adaptive_dims(const char* op, const Shape& shape, const Window::Axes& in, const Window::Axes& out,
                       const Location& where) {
  PoolDims dims = input_dims(op, shape, in, where);
  dims.adaptive = true;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    dims.out[axis] = static_cast<std::size_t>(out[axis]);
    const std::size_t parts = dims.in[axis] / dims.out[axis];
    dims.kernel[axis] = dims.in[axis] % dims.out[axis] == 0 ? parts : std::min(parts + 2, dims.in[axis]);
  }
  check_taps(op, dims, where);
  return dims;
}

template <int Axes>
Pooling pooling_of(const char* op, const Shape& x, const AdaptivePoolOptions<Axes>& options) {
  Window window{.rank = Axes, .in = spatial_sizes(op, Axes, x, options.where), .out = spatial(options.output_size, 1)};
  check_sizes(op, "output_size", Axes, window.out, 0, options.where);
  for (std::size_t axis = 0; axis < 3; ++axis)
    if (window.out[axis] == 0) window.out[axis] = window.in[axis];
  return {adaptive_dims(op, x, window.in, window.out, options.where),
          output_shape(op, x, window, x[-1], options.where)};
}

Pooling pooling_of(const char* op, const Shape& shape, const GlobalPoolOptions& options) {
  if (shape.rank() < 3)
    fail<ShapeError>(options.where, op, fmt::format("x must be [N, ..., C]; it is {}", to_string(shape)));
  Shape y = options.keepdim ? shape : Shape{shape[0], shape[-1]};
  for (int axis = 1; axis + 1 < y.rank(); ++axis) y = y.with(axis, 1);
  return {adaptive_dims(op, shape, {1, 1, shape.product(1, shape.rank() - 1)}, {1, 1, 1}, options.where), y};
}

template <int Axes>
Pooling pooling_of(const char* op, const Shape& x, const MaxPoolOptions<Axes>& o) {
  return sliding(op, x, o.kernel, o.stride, o.padding, o.dilation, o.ceil_mode, o.where);
}
template <int Axes>
Pooling pooling_of(const char* op, const Shape& x, const AvgPoolOptions<Axes>& o) {
  Pooling pooling = sliding(op, x, o.kernel, o.stride, o.padding, Sizes<Axes>(1), o.ceil_mode, o.where);
  pooling.dims.count_include_pad = o.count_include_pad;
  pooling.dims.divisor = o.divisor_override;
  return pooling;
}

// Calls body(Index{}) with the type that holds the taps.
template <class Body>
void visit_taps(const PoolDims& dims, const Body& body) {
  if (dims.taps() > 256) return body(std::int32_t{});
  body(std::uint8_t{});
}

template <class Index>
std::span<Index> taps_of(const Block& block, std::size_t size) {
  return {reinterpret_cast<Index*>(block.data()), block ? size : 0};
}

// One operation for each element of x, whichever windows there are; backward knows what it needs.
constexpr OpInfo pool_op(const char* name) { return {name, elementwise_cost<Saved::nothing>}; }

template <class Options>
Var max_pool(const OpInfo& op, const Var& x, const Options& options) {
  require_input(op.name, x, options.where);
  const Pooling pooling = pooling_of(op.name, x.shape(), options);
  const PoolDims& dims = pooling.dims;
  const Device& device = x.device();
  Tensor y = x.value().like(pooling.y);
  Block argmax;
  visit_taps(dims, [&]<class Index>(Index) {
    if (x.requires_grad()) argmax = device.arena.allocate(dims.y_size() * sizeof(Index));
    visit_floating(op.name, x.dtype(), [&]<class T>(T) {
      kernels::max_pool_forward(device, dims, x.value().span<T>(), y.span<T>(),
                                argmax ? taps_of<Index>(argmax, dims.y_size()) : std::span<Index>());
    });
  });
  return record(op, y, {x}, options, [&device, op, dims, argmax](const Tensor& dy, GradSlots grads) {
    Tensor dx = grads.overwrite(0);
    if (!dx) return;
    visit_taps(dims, [&]<class Index>(Index) {
      visit_floating(op.name, dy.dtype(), [&]<class T>(T) {
        kernels::max_pool_backward(device, dims, std::span<const Index>(taps_of<Index>(argmax, dims.y_size())),
                                   dy.span<T>(), dx.span<T>());
      });
    });
  });
}

template <class Options>
Var avg_pool(const OpInfo& op, const Var& x, const Options& options) {
  require_input(op.name, x, options.where);
  const Pooling pooling = pooling_of(op.name, x.shape(), options);
  const Device& device = x.device();
  Tensor y = x.value().like(pooling.y);
  visit_floating(op.name, x.dtype(), [&]<class T>(T) {
    kernels::avg_pool_forward(device, pooling.dims, x.value().span<T>(), y.span<T>());
  });
  return record(op, y, {x}, options, [&device, op, dims = pooling.dims](const Tensor& dy, GradSlots grads) {
    Tensor dx = grads.overwrite(0);
    if (!dx) return;
    visit_floating(op.name, dy.dtype(),
                   [&]<class T>(T) { kernels::avg_pool_backward(device, dims, dy.span<T>(), dx.span<T>()); });
  });
}

}  // namespace

Var max_pool1d(const Var& x, const MaxPoolOptions<1>& options) { return max_pool(pool_op("max_pool1d"), x, options); }
Var max_pool2d(const Var& x, const MaxPoolOptions<2>& options) { return max_pool(pool_op("max_pool2d"), x, options); }
Var max_pool3d(const Var& x, const MaxPoolOptions<3>& options) { return max_pool(pool_op("max_pool3d"), x, options); }

Var max_pool(const Var& x, const PoolWindows& w) {
  if (w.axes == 1) return max_pool1d(x, {.kernel = w.kernel[2], .where = w.where});
  if (w.axes == 2) return max_pool2d(x, {.kernel = {w.kernel[1], w.kernel[2]}, .where = w.where});
  if (w.axes == 3) return max_pool3d(x, {.kernel = {w.kernel[0], w.kernel[1], w.kernel[2]}, .where = w.where});
  if (w.axes != 0) fail<ArgumentError>(w.where, "max_pool", fmt::format("windows have {} axes, not 0 to 3", w.axes));
  return x;
}

Var avg_pool1d(const Var& x, const AvgPoolOptions<1>& options) { return avg_pool(pool_op("avg_pool1d"), x, options); }
Var avg_pool2d(const Var& x, const AvgPoolOptions<2>& options) { return avg_pool(pool_op("avg_pool2d"), x, options); }
Var avg_pool3d(const Var& x, const AvgPoolOptions<3>& options) { return avg_pool(pool_op("avg_pool3d"), x, options); }

Var adaptive_max_pool1d(const Var& x, const AdaptivePoolOptions<1>& options) {
  return max_pool(pool_op("adaptive_max_pool1d"), x, options);
}
Var adaptive_max_pool2d(const Var& x, const AdaptivePoolOptions<2>& options) {
  return max_pool(pool_op("adaptive_max_pool2d"), x, options);
}
Var adaptive_max_pool3d(const Var& x, const AdaptivePoolOptions<3>& options) {
  return max_pool(pool_op("adaptive_max_pool3d"), x, options);
}

Var adaptive_avg_pool1d(const Var& x, const AdaptivePoolOptions<1>& options) {
  return avg_pool(pool_op("adaptive_avg_pool1d"), x, options);
}
Var adaptive_avg_pool2d(const Var& x, const AdaptivePoolOptions<2>& options) {
  return avg_pool(pool_op("adaptive_avg_pool2d"), x, options);
}
Var adaptive_avg_pool3d(const Var& x, const AdaptivePoolOptions<3>& options) {
  return avg_pool(pool_op("adaptive_avg_pool3d"), x, options);
}

Var global_max_pool(const Var& x, const GlobalPoolOptions& options) {
  return max_pool(pool_op("global_max_pool"), x, options);
}
Var global_avg_pool(const Var& x, const GlobalPoolOptions& options) {
  return avg_pool(pool_op("global_avg_pool"), x, options);
}

Shape pooled_shape(const char* op, const Shape& x, const GlobalPoolOptions& options) {
  return pooling_of(op, x, options).y;
}
template <int Axes>
Shape pooled_shape(const char* op, const Shape& x, const MaxPoolOptions<Axes>& options) {
  return pooling_of(op, x, options).y;
}
template <int Axes>
Shape pooled_shape(const char* op, const Shape& x, const AvgPoolOptions<Axes>& options) {
  return pooling_of(op, x, options).y;
}
template <int Axes>
Shape pooled_shape(const char* op, const Shape& x, const AdaptivePoolOptions<Axes>& options) {
  return pooling_of(op, x, options).y;
}
template Shape pooled_shape(const char*, const Shape&, const MaxPoolOptions<1>&);
template Shape pooled_shape(const char*, const Shape&, const MaxPoolOptions<2>&);
template Shape pooled_shape(const char*, const Shape&, const MaxPoolOptions<3>&);
template Shape pooled_shape(const char*, const Shape&, const AvgPoolOptions<1>&);
template Shape pooled_shape(const char*, const Shape&, const AvgPoolOptions<2>&);
template Shape pooled_shape(const char*, const Shape&, const AvgPoolOptions<3>&);
template Shape pooled_shape(const char*, const Shape&, const AdaptivePoolOptions<1>&);
template Shape pooled_shape(const char*, const Shape&, const AdaptivePoolOptions<2>&);
template Shape pooled_shape(const char*, const Shape&, const AdaptivePoolOptions<3>&);

}  // namespace tapestry
