#include "autodiff/ops/layer_norm.h"

#include "autodiff/ops/norm_operands.h"
#include "autodiff/ops/normalize.h"
#include "autodiff/ops/reshape.h"
#include "kernels/norm_rows.h"

namespace tapestry {
namespace {

using detail::NormOperands;

// Whether the norm with these options takes the mean away.
template <class Options>
constexpr bool kCenters = std::is_same_v<Options, LayerNormOptions>;

// Which axes are normalized together, and which weight and bias have.
struct RowAxes {
  template <class Options>
  RowAxes(const char* op, const Shape& shape, const Options& o) {
    if (o.reduction_axes.count() == 0 && (o.axes < 1 || o.axes > shape.rank()))
      fail<ShapeError>(
          o.where, op,
          fmt::format("axes must be in [1, {}] for x {}; it is {}", shape.rank(), to_string(shape), o.axes));
    reduced = o.reduction_axes.count() == 0
                  ? detail::last_axes(shape.rank(), o.axes)
                  : detail::rising_axes(op, "reduction_axes", o.reduction_axes, shape, o.where);
    features =
        o.feature_axes.count() == 0 ? reduced : detail::rising_axes(op, "feature_axes", o.feature_axes, shape, o.where);
  }
  // Whether these are the last axes, all of which weight and bias have.
  bool trailing(int rank) const { return reduced == features && reduced == detail::last_axes(rank, reduced.count()); }
  Axes reduced, features;
};

template <class Options>
Var norm_rows(const char* op, const NormOperands& in, const RowAxes& axes, const Var& residual, bool relu,
              const Options& options, const CallOptions& call) {
  const Var& x = in.x;
  const auto n = static_cast<std::size_t>(detail::sizes_of(x.shape(), axes.reduced).size());
  const kernels::RowNormDims dims{.rows = n == 0 ? 0 : static_cast<std::size_t>(x.shape().size()) / n,
                                  .n = n,
                                  .epsilon = options.epsilon,
                                  .relu = relu,
                                  .center = kCenters<Options>};
  const kernels::Device& device = x.device();
  Tensor y = x.value().like();
  Tensor stats = x.value().like({static_cast<std::int64_t>(dims.rows), 2}, DType::float64);
  visit_floating(op, x.dtype(), [&]<class T>(T) {
    kernels::row_norm_forward(device, dims,
                              {.x = x.value().span<T>(),
                               .weight = in.weight.value().span<T>(),
                               .bias = in.bias.value().span<T>(),
                               .residual = residual.value().span<T>(),
                               .y = y.span<T>(),
                               .stats = stats.span<double>()});
  });
  return record(OpInfo(op, detail::norm_cost), y, {x, optional(in.weight), optional(in.bias), optional(residual)}, call,
                [op, &device, dims, x = x.value(), weight = in.weight.value(), bias = in.bias.value(),
                 stats = std::as_const(stats),
                 mask = relu && residual.value() ? y : Tensor{}](const Tensor& dy, GradSlots grads) {
                  Tensor dx = grads.overwrite(0), dweight = grads.add(1), dbias = grads.add(2),
                         dresidual = grads.overwrite(3);
                  visit_floating(op, x.dtype(), [&]<class T>(T) {
                    kernels::row_norm_backward(device, dims,
                                               {.x = x.span<T>(),
                                                .weight = weight.span<T>(),
                                                .bias = bias.span<T>(),
                                                .stats = stats.span<double>(),
                                                .y = mask.span<T>(),
                                                .dy = dy.span<T>(),
                                                .dx = dx.span<T>(),
                                                .dweight = dweight.span<T>(),
                                                .dbias = dbias.span<T>(),
                                                .dresidual = dresidual.span<T>()});
                  });
                });
}

template <class Options>
Var norm_over_axes(const char* op, const Var& x, const Var& weight, const Var& bias, const Options& options) {
  const Location& where = options.where;
  detail::check_operands(op, x, options.dtype, where);
  const RowAxes axes(op, x.shape(), options);
  detail::check_epsilon(op, options.epsilon, where);
  const Shape features = detail::sizes_of(x.shape(), axes.features);
  detail::check_beside(op, "weight", weight, x, features, where);
  detail::check_beside(op, "bias", bias, x, features, where);
  detail::check_beside(op, "residual", options.residual, x, x.shape(), where);
  detail::check_mask(op, options.mask, x.shape(), where);
  const detail::ReplicaMean replicas(x, options.replicas, op, where);
  const NormOperands in(x, weight, bias, where);
  if (axes.trailing(x.shape().rank()) && !options.mask && options.replicas == nullptr)
    return detail::with_tail(in.x, options, [&](const Var& residual, bool relu, const CallOptions& call) {
      return norm_rows(op, in, axes, residual, relu, options, call);
    });
  const Var y = detail::normalize(in.x, detail::spread(in.weight, x.shape(), axes.features, where),
                                  detail::spread(in.bias, x.shape(), axes.features, where),
                                  {.op = op,
                                   .axes = axes.reduced,
                                   .center = kCenters<Options>,
                                   .epsilon = options.epsilon,
                                   .mask = detail::whole_mask(options.mask, in.x, where),
                                   .replicas = replicas,
                                   .where = where})
                    .y;
  return detail::finished(y, options.dtype, options.residual, options.activation, where);
}

}  // namespace

Var layer_norm(const Var& x, const Var& weight, const Var& bias, const LayerNormOptions& options) {
  return norm_over_axes("layer_norm", x, weight, bias, options);
}
Var layer_norm(const Var& x, const LayerNormOptions& options) { return layer_norm(x, {}, {}, options); }

Var rms_norm(const Var& x, const Var& weight, const RmsNormOptions& options) {
  return norm_over_axes("rms_norm", x, weight, {}, options);
}
Var rms_norm(const Var& x, const RmsNormOptions& options) { return rms_norm(x, {}, options); }

}  // namespace tapestry
