#include "autodiff/ops/elementwise.h"

#include <fmt/format.h>

#include "autodiff/cost.h"
#include "autodiff/ops/broadcast.h"

namespace tapestry {
namespace {

using detail::elementwise;
using detail::give_gradient;
using kernels::Device;
using kernels::ElementwiseOp;

constexpr OpInfo kAdd("add", elementwise_cost<Saved::inputs>);
constexpr OpInfo kSubtract("subtract", elementwise_cost<Saved::inputs>);
constexpr OpInfo kMultiply("multiply", elementwise_cost<Saved::inputs>);
constexpr OpInfo kDivide("divide", elementwise_cost<Saved::inputs>);
constexpr OpInfo kMinimum("minimum", elementwise_cost<Saved::inputs>);
constexpr OpInfo kMaximum("maximum", elementwise_cost<Saved::inputs>);
constexpr OpInfo kPow("pow", elementwise_cost<Saved::inputs>);
constexpr OpInfo kWhere("where", elementwise_cost<Saved::inputs>);

// Both sides as Vars; a number becomes a constant beside the other side.
struct Sides {
  Var a, b;
  Shape shape;
  Location where;

  Sides(const char* op, const Operand& left, const Operand& right) : where(left.where()) {
    const Var* var = left.var() != nullptr ? left.var() : right.var();
    if (var == nullptr) fail<ArgumentError>(where, op, "one side must be a Var");
    const auto side = [&](const Operand& operand) {
      if (operand.var() == nullptr) return var->constant(detail::scalar_like(var->value(), operand.number()));
      if (!operand.var()->value()) fail<ArgumentError>(where, op, "an input holds nothing");
      return *operand.var();
    };
    if (!var->value()) fail<ArgumentError>(where, op, "an input holds nothing");
    a = side(left);
    b = side(right);
    if (a.dtype() != b.dtype())
      fail<ArgumentError>(where, op,
                          fmt::format("the types differ: {} and {}", dtype_name(a.dtype()), dtype_name(b.dtype())));
    if (a.dtype() == DType::int64) fail<ArgumentError>(where, op, "needs float32 or float64, got int64");
    shape = detail::broadcast_shape(op, a.shape(), b.shape(), where);
  }
};

Tensor forward(const Sides& sides, ElementwiseOp op) {
  Tensor y = sides.a.value().like(sides.shape);
  elementwise(sides.a.device(), op, sides.a.value(), sides.b.value(), y);
  return y;
}

// The ops whose gradients need nothing but dy: factors of dy for a and b are 1 and `sign`.
Var sum_of(const OpInfo& description, ElementwiseOp op, double sign, const Operand& left, const Operand& right) {
  const Sides sides(description.name, left, right);
  const Device& device = sides.a.device();
  return record(description, forward(sides, op), {sides.a, sides.b}, sides.where,
                [&device, sign, a = sides.a.shape(), b = sides.b.shape()](const Tensor& dy, GradSlots grads) {
                  give_gradient(device, grads, 0, a, dy);
                  if (sign == 1) return give_gradient(device, grads, 1, b, dy);
                  give_gradient(device, grads, 1, b, dy, [&](Tensor& db) {
                    elementwise(device, ElementwiseOp::multiply, dy, detail::scalar_like(dy, sign), db);
                  });
                });
}

// The ops whose gradients are kernels of (a, b, dy) and (b, a, dy) or (a, b, dy).
Var with_shares(const OpInfo& description, ElementwiseOp op, ElementwiseOp op_a, ElementwiseOp op_b, bool swap,
                const Operand& left, const Operand& right) {
  const Sides sides(description.name, left, right);
  const Device& device = sides.a.device();
  return record(
      description, forward(sides, op), {sides.a, sides.b}, sides.where,
      [&device, op_a, op_b, swap, a = sides.a.value(), b = sides.b.value()](const Tensor& dy, GradSlots grads) {
        give_gradient(device, grads, 0, a.shape(), dy, [&](Tensor& da) { elementwise(device, op_a, a, b, dy, da); });
        give_gradient(device, grads, 1, b.shape(), dy,
                      [&](Tensor& db) { elementwise(device, op_b, swap ? b : a, swap ? a : b, dy, db); });
      });
}

Tensor comparison(const char* name, kernels::CompareOp op, const Operand& left, const Operand& right) {
  const Sides sides(name, left, right);
  Tensor y = sides.a.value().like(sides.shape, DType::int64);
  const kernels::BroadcastDims dims = detail::broadcast_dims(sides.shape, {&sides.a.shape(), &sides.b.shape()});
  visit_floating(name, sides.a.dtype(), [&]<class T>(T) {
    kernels::compare(sides.a.device(), dims, op, sides.a.value().span<T>(), sides.b.value().span<T>(),
                     y.span<std::int64_t>());
  });
  return y;
}

}  // namespace

Var operator+(const Operand& a, const Operand& b) { return sum_of(kAdd, ElementwiseOp::add, 1, a, b); }
Var operator-(const Operand& a, const Operand& b) { return sum_of(kSubtract, ElementwiseOp::subtract, -1, a, b); }
Var operator-(const Operand& x) { return x * Operand(-1.0, x.where()); }

Var operator*(const Operand& left, const Operand& right) {
  const Sides sides(kMultiply.name, left, right);
  const Device& device = sides.a.device();
  return record(kMultiply, forward(sides, ElementwiseOp::multiply), {sides.a, sides.b}, sides.where,
                [&device, a = sides.a.value(), b = sides.b.value()](const Tensor& dy, GradSlots grads) {
                  give_gradient(device, grads, 0, a.shape(), dy,
                                [&](Tensor& da) { elementwise(device, ElementwiseOp::multiply, dy, b, da); });
                  give_gradient(device, grads, 1, b.shape(), dy,
                                [&](Tensor& db) { elementwise(device, ElementwiseOp::multiply, dy, a, db); });
                });
}

Var operator/(const Operand& left, const Operand& right) {
  const Sides sides(kDivide.name, left, right);
  const Device& device = sides.a.device();
  return record(kDivide, forward(sides, ElementwiseOp::divide), {sides.a, sides.b}, sides.where,
                [&device, a = sides.a.value(), b = sides.b.value()](const Tensor& dy, GradSlots grads) {
                  give_gradient(device, grads, 0, a.shape(), dy,
                                [&](Tensor& da) { elementwise(device, ElementwiseOp::divide, dy, b, da); });
                  give_gradient(device, grads, 1, b.shape(), dy, [&](Tensor& db) {
                    elementwise(device, ElementwiseOp::divide_denominator, a, b, dy, db);
                  });
                });
}

Var minimum(const Operand& a, const Operand& b) {
  return with_shares(kMinimum, ElementwiseOp::minimum, ElementwiseOp::minimum_share, ElementwiseOp::minimum_share, true,
                     a, b);
}
Var maximum(const Operand& a, const Operand& b) {
  return with_shares(kMaximum, ElementwiseOp::maximum, ElementwiseOp::maximum_share, ElementwiseOp::maximum_share, true,
                     a, b);
}
Var pow(const Operand& x, const Operand& y) {
  return with_shares(kPow, ElementwiseOp::power, ElementwiseOp::power_base, ElementwiseOp::power_exponent, false, x, y);
}

Var where(const Tensor& mask, const Operand& left, const Operand& right) {
  Sides sides(kWhere.name, left, right);
  if (!mask) fail<ArgumentError>(sides.where, kWhere.name, "the mask holds nothing");
  sides.shape = detail::broadcast_shape(kWhere.name, mask.shape(), sides.shape, sides.where);
  const Device& device = sides.a.device();
  Tensor y = sides.a.value().like(sides.shape);
  const Tensor chosen = mask.to(y.dtype());
  elementwise(device, ElementwiseOp::select, chosen, sides.a.value(), sides.b.value(), y);
  return record(kWhere, y, {sides.a, sides.b}, sides.where,
                [&device, chosen, a = sides.a.shape(), b = sides.b.shape()](const Tensor& dy, GradSlots grads) {
                  const Tensor zero = detail::scalar_like(dy, 0);
                  give_gradient(device, grads, 0, a, dy,
                                [&](Tensor& da) { elementwise(device, ElementwiseOp::select, chosen, dy, zero, da); });
                  give_gradient(device, grads, 1, b, dy,
                                [&](Tensor& db) { elementwise(device, ElementwiseOp::select, chosen, zero, dy, db); });
                });
}

Tensor equal(const Operand& a, const Operand& b) { return comparison("equal", kernels::CompareOp::equal, a, b); }
Tensor not_equal(const Operand& a, const Operand& b) {
  return comparison("not_equal", kernels::CompareOp::not_equal, a, b);
}
Tensor less(const Operand& a, const Operand& b) { return comparison("less", kernels::CompareOp::less, a, b); }
Tensor less_equal(const Operand& a, const Operand& b) {
  return comparison("less_equal", kernels::CompareOp::less_equal, a, b);
}
Tensor greater(const Operand& a, const Operand& b) { return comparison("greater", kernels::CompareOp::greater, a, b); }
Tensor greater_equal(const Operand& a, const Operand& b) {
  return comparison("greater_equal", kernels::CompareOp::greater_equal, a, b);
}

}  // namespace tapestry
