#include "autodiff/ops/pointwise_loss.h"

#include <fmt/format.h>

#include <cmath>

#include "autodiff/cost.h"
#include "autodiff/ops/broadcast.h"
#include "autodiff/record.h"
#include "kernels/pointwise_loss.h"

namespace tapestry {
namespace {

using kernels::Device;
using kernels::PointwiseLossDims;
namespace reference = kernels::reference;

void check_pair(const char* op, const Var& x, const Tensor& target, const Location& where) {
  if (!x.value() || !target) fail<ArgumentError>(where, op, "an input holds nothing");
  if (x.shape() != target.shape())
    fail<ShapeError>(where, op,
                     fmt::format("x and target must have one shape; they are {} and {}", to_string(x.shape()),
                                 to_string(target.shape())));
  if (x.dtype() != target.dtype())
    fail<ArgumentError>(where, op,
                        fmt::format("x is {}, target is {}", dtype_name(x.dtype()), dtype_name(target.dtype())));
}

// What the sum of the losses is divided by.
double divisor_of(const char* op, const Shape& shape, Reduction reduction, const Location& where) {
  if (reduction == Reduction::sum || reduction == Reduction::none) return 1;
  if (reduction == Reduction::batchmean && shape.rank() < 1)
    fail<ShapeError>(where, op, "batchmean needs an axis to divide by; x is []");
  const std::int64_t count = reduction == Reduction::mean ? shape.size() : shape[0];
  if (count == 0)
    fail<ArgumentError>(where, op, fmt::format("the mean of no losses is not defined; x is {}", to_string(shape)));
  return static_cast<double>(count);
}

// `weight` in x's shape, or nothing.
Tensor expanded(const char* op, const char* name, const Tensor& weight, const Var& x, const Location& where) {
  if (!weight) return {};
  if (weight.dtype() != x.dtype())
    fail<ArgumentError>(where, op,
                        fmt::format("{} is {}, x is {}", name, dtype_name(weight.dtype()), dtype_name(x.dtype())));
  if (weight.shape() == x.shape()) return weight;
  if (detail::broadcast_shape(op, x.shape(), weight.shape(), where) != x.shape())
    fail<ShapeError>(
        where, op,
        fmt::format("{} {} cannot be stretched to x {}", name, to_string(weight.shape()), to_string(x.shape())));
  Tensor whole = weight.like(x.shape());
  detail::elementwise(x.device(), kernels::ElementwiseOp::multiply, weight, detail::scalar_like(weight, 1), whole);
  return whole;
}

struct Weights {
  Tensor weight = {}, pos_weight = {};
};

Var pointwise_loss(const char* op, const PointwiseLossDims& dims, const Var& x, const Var& target,
                   const Weights& weights, Reduction reduction, const CallOptions& call) {
  const Location& where = call.where;
  check_pair(op, x, target.value(), where);
  const double divisor = divisor_of(op, x.shape(), reduction, where);
  const Device& device = x.device();
  const bool each = reduction == Reduction::none;
  Tensor y = x.value().like(each ? x.shape() : Shape{});
  visit_floating(op, x.dtype(), [&]<class T>(T) {
    const double sum = kernels::pointwise_loss_forward(device, dims,
                                                       {.x = x.value().span<T>(),
                                                        .target = target.value().span<T>(),
                                                        .weight = weights.weight.span<T>(),
                                                        .pos_weight = weights.pos_weight.span<T>(),
                                                        .losses = each ? y.span<T>() : std::span<T>{}});
    if (!each) y.span<T>()[0] = static_cast<T>(sum / divisor);
  });
  return record(OpInfo(op, elementwise_cost<Saved::inputs>), y, {x, target}, call,
                [&device, dims, reduction, divisor, x = x.value(), target = target.value(), weights](const Tensor& dy,
                                                                                                     GradSlots grads) {
                  Tensor dx = grads.overwrite(0), dtarget = grads.overwrite(1);
                  visit_floating("loss", x.dtype(), [&]<class T>(T) {
                    const detail::LossGradient<T> g(dy, reduction, divisor);
                    kernels::pointwise_loss_backward(device, dims,
                                                     {.x = x.span<T>(),
                                                      .target = target.span<T>(),
                                                      .weight = weights.weight.span<T>(),
                                                      .pos_weight = weights.pos_weight.span<T>(),
                                                      .dy = g.each,
                                                      .scale = g.scale,
                                                      .dx = dx.span<T>(),
                                                      .dtarget = dtarget.span<T>()});
                  });
                });
}

void refuse_batchmean(const char* op, Reduction reduction, const Location& where) {
  if (reduction == Reduction::batchmean) fail<ArgumentError>(where, op, "batchmean is a reduction of kl_div only");
}

// The loss without weights, told a and b.
template <class Loss, class Options>
Var plain_loss(const char* op, const Var& x, const Var& target, const Options& options, double a = 0, double b = 0) {
  refuse_batchmean(op, options.reduction, options.where);
  return pointwise_loss(op, reference::loss_dims<Loss>(a, b), x, target, {}, options.reduction, options);
}

}  // namespace

Var mse_loss(const Var& x, const Var& target, const LossOptions& options) {
  return plain_loss<reference::Mse>("mse_loss", x, target, options);
}
Var mse_loss(const Var& x, const Tensor& target, const LossOptions& options) {
  return mse_loss(x, x.constant(target), options);
}

Var l1_loss(const Var& x, const Var& target, const LossOptions& options) {
  return plain_loss<reference::L1>("l1_loss", x, target, options);
}
Var l1_loss(const Var& x, const Tensor& target, const LossOptions& options) {
  return l1_loss(x, x.constant(target), options);
}

Var huber_loss(const Var& x, const Var& target, const HuberLossOptions& options) {
  if (!(options.delta > 0) || !std::isfinite(options.delta))
    fail<ArgumentError>(options.where, "huber_loss",
                        fmt::format("delta must be positive and finite; it is {}", options.delta));
  return plain_loss<reference::Huber>("huber_loss", x, target, options, options.delta);
}
Var huber_loss(const Var& x, const Tensor& target, const HuberLossOptions& options) {
  return huber_loss(x, x.constant(target), options);
}

Var bce_with_logits(const Var& x, const Tensor& target, const BceWithLogitsOptions& options) {
  constexpr const char* op = "bce_with_logits";
  refuse_batchmean(op, options.reduction, options.where);
  check_pair(op, x, target, options.where);
  const Weights weights{expanded(op, "weight", options.weight, x, options.where),
                        expanded(op, "pos_weight", options.pos_weight, x, options.where)};
  return pointwise_loss(op, reference::loss_dims<reference::BceWithLogits>(), x, x.constant(target), weights,
                        options.reduction, options);
}

Var kl_div(const Var& x, const Tensor& target, const KlDivOptions& options) {
  const PointwiseLossDims dims =
      options.log_target ? reference::loss_dims<reference::KlDivLog>() : reference::loss_dims<reference::KlDiv>();
  return pointwise_loss("kl_div", dims, x, x.constant(target), {}, options.reduction, options);
}

Var poisson_nll_loss(const Var& x, const Tensor& target, const PoissonNllLossOptions& options) {
  constexpr const char* op = "poisson_nll_loss";
  if (!(options.eps >= 0) || !std::isfinite(options.eps))
    fail<ArgumentError>(options.where, op, fmt::format("eps must be finite and at least 0; it is {}", options.eps));
  const auto loss = options.log_input ? plain_loss<reference::PoissonNllLog, PoissonNllLossOptions>
                                      : plain_loss<reference::PoissonNll, PoissonNllLossOptions>;
  return loss(op, x, x.constant(target), options, options.eps, options.full ? 1 : 0);
}

}  // namespace tapestry
