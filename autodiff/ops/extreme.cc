#include "autodiff/ops/extreme.h"

#include "autodiff/cost.h"
#include "autodiff/ops/broadcast.h"
#include "autodiff/ops/reduce_plan.h"

namespace tapestry {
namespace {

using detail::elementwise;
using detail::Reduced;
using kernels::Device;
using kernels::ElementwiseOp;
using kernels::Extreme;

constexpr OpInfo kMax("max", elementwise_cost<Saved::inputs>);
constexpr OpInfo kMin("min", elementwise_cost<Saved::inputs>);

Reduced checked(const char* op, const Var& x, const ReduceOptions& options) {
  Reduced reduced(op, x, options.axes, options.keepdim, options.where);
  need_elements(op, reduced, x, 1, options.where);
  return reduced;
}

Var extreme(const OpInfo& op, Extreme which, const Var& x, const ReduceOptions& options) {
  const Reduced reduced = checked(op.name, x, options);
  const Device& device = x.device();
  Tensor y = x.value().like(reduced.y);
  reduced.plan.extremes(device, which, y);
  return record(op, y, {x}, options, [&device, reduced, x = x.value(), y](const Tensor& dy, GradSlots grads) {
    Tensor dx = grads.overwrite(0);
    if (!dx) return;
    Tensor share = dy.like();
    reduced.plan.sum(device, kernels::Term::equal, y.to(DType::float64), 1, share);
    elementwise(device, ElementwiseOp::divide, dy, share, share);
    elementwise(device, ElementwiseOp::where_equal, x, y.reshape(reduced.kept), share.reshape(reduced.kept), dx);
  });
}

Tensor arg_extreme(const char* op, Extreme which, const Var& x, const ReduceOptions& options) {
  const Reduced reduced = checked(op, x, options);
  Tensor y = x.value().like(reduced.y, DType::int64);
  visit_floating(op, x.dtype(), [&]<class T>(T) {
    kernels::arg_extremes(x.device(), reduced.plan.dims(), which, reduced.plan.x().span<T>(), y.span<std::int64_t>());
  });
  return y;
}

}  // namespace

Var max(const Var& x, ReduceOptions options) { return extreme(kMax, Extreme::largest, x, options); }
Var min(const Var& x, ReduceOptions options) { return extreme(kMin, Extreme::smallest, x, options); }
Tensor argmax(const Var& x, ReduceOptions options) { return arg_extreme("argmax", Extreme::largest, x, options); }
Tensor argmin(const Var& x, ReduceOptions options) { return arg_extreme("argmin", Extreme::smallest, x, options); }

}  // namespace tapestry
