#include "autodiff/ops/reduce.h"

#include <fmt/format.h>

#include <cmath>

#include "autodiff/cost.h"
#include "autodiff/ops/broadcast.h"
#include "autodiff/ops/reduce_plan.h"

namespace tapestry {

namespace {

using detail::elementwise;
using detail::for_results;
using detail::Reduced;
using kernels::Device;
using kernels::ElementwiseOp;
using kernels::Term;

constexpr OpInfo kSum("sum", elementwise_cost<Saved::nothing>);
constexpr OpInfo kMean("mean", elementwise_cost<Saved::nothing>);
constexpr OpInfo kLogsumexp("logsumexp", elementwise_cost<Saved::inputs>);
constexpr OpInfo kVar("var", elementwise_cost<Saved::inputs>);

// y = factor * sum of x, for sum and mean.
Var scaled_sum(const OpInfo& op, const Var& x, const Reduced& reduced, double factor, const ReduceOptions& options) {
  const Device& device = x.device();
  Tensor y = x.value().like(reduced.y);
  reduced.plan.sum(device, Term::value, {}, factor, y);
  return record(op, y, {x}, options, [&device, factor, kept = reduced.kept](const Tensor& dy, GradSlots grads) {
    if (Tensor dx = grads.overwrite(0))
      elementwise(device, ElementwiseOp::multiply, dy.reshape(kept), detail::scalar_like(dy, factor), dx);
  });
}

// dx = op(x - center, 0, scale), where center [kept] is float64: subtracted as two numbers of x's type, so that the
// differences of close numbers keep their digits.
void from_center(const Device& device, ElementwiseOp op, const Tensor& x, const Tensor& center, const Tensor& scale,
                 Tensor& dx) {
  Tensor high = scale.like(), low = scale.like();
  visit_floating("reduce", x.dtype(), [&]<class T>(T) {
    const std::span<const double> from = center.span<double>();
    const std::span<T> to = high.span<T>(), rest = low.span<T>();
    for_results(device, from.size(), [&](std::size_t i) {
      to[i] = static_cast<T>(from[i]);
      rest[i] = std::isfinite(from[i]) ? static_cast<T>(from[i] - static_cast<double>(to[i])) : T{};
    });
  });
  elementwise(device, ElementwiseOp::subtract, x, high, dx);
  elementwise(device, op, dx, low, scale, dx);
}

// log(sum of exp(x)), float64: exp is taken of differences from the largest x, given in `top`.
Tensor log_of_sums(const Device& device, const detail::ReducePlan& plan, const Tensor& top) {
  const std::span<const double> largest = top.span<double>();
  Tensor center = top.like();
  const std::span<double> centers = center.span<double>();
  for_results(device, centers.size(), [&](std::size_t i) { centers[i] = std::isinf(largest[i]) ? 0 : largest[i]; });
  Tensor log = plan.sums(device, Term::exp, center);
  const std::span<double> logs = log.span<double>();
  for_results(device, logs.size(),
              [&](std::size_t i) { logs[i] = std::isinf(largest[i]) ? largest[i] : largest[i] + std::log(logs[i]); });
  return log;
}

}  // namespace

Var sum(const Var& x, ReduceOptions options) {
  return scaled_sum(kSum, x, Reduced(kSum.name, x, options.axes, options.keepdim, options.where), 1, options);
}

Var mean(const Var& x, ReduceOptions options) {
  const Reduced reduced(kMean.name, x, options.axes, options.keepdim, options.where);
  need_elements(kMean.name, reduced, x, 1, options.where);
  return scaled_sum(kMean, x, reduced, 1 / reduced.plan.count(), options);
}

Var logsumexp(const Var& x, ReduceOptions options) {
  const Reduced reduced(kLogsumexp.name, x, options.axes, options.keepdim, options.where);
  need_elements(kLogsumexp.name, reduced, x, 1, options.where);
  const Device& device = x.device();
  Tensor y = x.value().like(reduced.y);
  reduced.plan.extremes(device, kernels::Extreme::largest, y);
  Tensor log = log_of_sums(device, reduced.plan, y.to(DType::float64));
  detail::scale_to(device, log, 1, y);
  // From 0, exp(-inf - 0) = 0: a row of -inf gets no gradient.
  const std::span<double> logs = log.span<double>();
  for_results(device, logs.size(), [&](std::size_t i) { logs[i] = logs[i] == -INFINITY ? 0 : logs[i]; });
  return record(kLogsumexp, y, {x}, options,
                [&device, log, x = x.value(), kept = reduced.kept](const Tensor& dy, GradSlots grads) {
                  if (Tensor dx = grads.overwrite(0))
                    from_center(device, ElementwiseOp::exp_difference, x, log, dy.reshape(kept), dx);
                });
}

Var var(const Var& x, VarOptions options) {
  const Location& where = options.where;
  const Reduced reduced(kVar.name, x, options.axes, options.keepdim, where);
  if (options.correction < 0)
    fail<ArgumentError>(where, kVar.name, fmt::format("correction must be at least 0, got {}", options.correction));
  need_elements(kVar.name, reduced, x, options.correction + 1, where);
  const Device& device = x.device();
  const double freedom = reduced.plan.count() - options.correction;
  Tensor mean = reduced.plan.sums(device, Term::value, {});
  detail::scale_to(device, mean, 1 / reduced.plan.count(), mean);
  Tensor y = x.value().like(reduced.y);
  reduced.plan.sum(device, Term::square, mean, 1 / freedom, y);
  return record(kVar, y, {x}, options,
                [&device, freedom, mean, x = x.value(), kept = reduced.kept](const Tensor& dy, GradSlots grads) {
                  Tensor dx = grads.overwrite(0);
                  if (!dx) return;
                  Tensor scale = dy.like(kept);
                  elementwise(device, ElementwiseOp::multiply, dy.reshape(kept), detail::scalar_like(dy, 2 / freedom),
                              scale);
                  from_center(device, ElementwiseOp::deviation, x, mean, scale, dx);
                });
}

}  // namespace tapestry
