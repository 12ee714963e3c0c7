#include "autodiff/ops/reduce.h"

#include <fmt/format.h>

#include "autodiff/ops/broadcast.h"
#include "autodiff/ops/reduce_plan.h"

namespace tapestry {

namespace {

using detail::elementwise;
using detail::ReducePlan;
using kernels::Device;
using kernels::ElementwiseOp;
using kernels::Term;

// The shapes of a reduction, checked.
struct Reduction {
  std::array<bool, Shape::kMaxRank> reduced{};
  Shape kept;  // reduced axes have size 1
  Shape y;

  Reduction(const char* op, const Var& x, const ReduceOptions& options) {
    if (!x.value()) fail<ArgumentError>(options.where, op, "the input holds nothing");
    if (x.dtype() == DType::int64) fail<ArgumentError>(options.where, op, "needs float32 or float64, got int64");
    const Shape& shape = x.shape();
    if (options.axes.count() == 0) reduced.fill(true);
    for (int given : options.axes) {
      if (given < -shape.rank() || given >= shape.rank())
        fail<ShapeError>(options.where, op, fmt::format("axis {} does not exist in {}", given, to_string(shape)));
      bool& entry = reduced[static_cast<std::size_t>(shape.axis(given))];
      if (entry)
        fail<ShapeError>(options.where, op, fmt::format("axis {} is named twice; x is {}", given, to_string(shape)));
      entry = true;
    }
    std::array<std::int64_t, Shape::kMaxRank> sizes{}, left{};
    std::size_t count = 0;
    for (std::size_t axis = 0; axis < static_cast<std::size_t>(shape.rank()); ++axis) {
      sizes[axis] = reduced[axis] ? 1 : shape[static_cast<int>(axis)];
      if (!reduced[axis]) left[count++] = sizes[axis];
    }
    kept = Shape(std::span<const std::int64_t>(sizes.data(), static_cast<std::size_t>(shape.rank())));
    y = options.keepdim ? kept : Shape(std::span<const std::int64_t>(left.data(), count));
  }
};

void refuse_empty(const char* op, const ReducePlan& plan, const Var& x, const Location& where) {
  if (plan.dims().size == 0)
    fail<ShapeError>(where, op, fmt::format("there is nothing to reduce in {}", to_string(x.shape())));
}

// y = factor * sum of x, for sum and mean.
Var scaled_sum(const char* op, const Var& x, const Reduction& reduction, const ReducePlan& plan, double factor,
               const Location& where) {
  const Device& device = x.device();
  Tensor y = x.value().like(reduction.y);
  plan.sum(device, Term::value, {}, factor, y);
  return record(op, y, {x}, where, [&device, factor, kept = reduction.kept](const Tensor& dy, GradSlots grads) {
    if (Tensor dx = grads.overwrite(0))
      elementwise(device, ElementwiseOp::multiply, dy.reshape(kept), detail::scalar_like(dy, factor), dx);
  });
}

}  // namespace

Var sum(const Var& x, ReduceOptions options) {
  const Reduction reduction("sum", x, options);
  const ReducePlan plan(x.device(), x.value(), reduction.reduced);
  return scaled_sum("sum", x, reduction, plan, 1, options.where);
}

Var mean(const Var& x, ReduceOptions options) {
  const Reduction reduction("mean", x, options);
  const ReducePlan plan(x.device(), x.value(), reduction.reduced);
  refuse_empty("mean", plan, x, options.where);
  return scaled_sum("mean", x, reduction, plan, 1 / plan.count(), options.where);
}

}  // namespace tapestry
