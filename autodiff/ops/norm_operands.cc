#include "autodiff/ops/norm_operands.h"

#include <algorithm>

#include "autodiff/cost.h"
#include "autodiff/ops/cast.h"
#include "autodiff/ops/elementwise.h"
#include "autodiff/ops/reshape.h"

namespace tapestry::detail {

Axes rising_axes(const char* op, const char* name, const Axes& axes, const Shape& shape, const Location& where) {
  if (const auto fault = fault_of(axes, shape.rank()))
    fail<ShapeError>(where, op,
                     fmt::format("{} names axis {}{} {}", name, fault->axis, fault->twice ? " twice; x is" : ", x is",
                                 to_string(shape)));
  return rising(axes, shape.rank());
}

Var spread(const Var& parameter, const Shape& x, const Axes& axes, const Location& where) {
  if (!parameter.value()) return {};
  return reshape(parameter, with_ones(x, other_axes(x.rank(), axes)), where);
}

OpCosts norm_cost(const OpCall& call) {
  const auto beside = static_cast<double>(
      std::ranges::count_if(call.inputs, [](const TraceInput& input) { return input.value != nullptr; }) - 1);
  return per_element_cost(call, 6 + beside, 9 + beside);
}

void check_beside(const char* op, const char* name, const Var& input, const Var& x, const Shape& shape,
                  const Location& where) {
  if (!input.value() || input.shape() == shape) return;
  fail<ShapeError>(where, op,
                   fmt::format("{} must be {} for x {}; it is {}", name, to_string(shape), to_string(x.shape()),
                               to_string(input.shape())));
}

void check_mask(const char* op, const Tensor& mask, const Shape& x, const Location& where) {
  if (mask && !stretches(mask.shape(), x))
    fail<ShapeError>(where, op, fmt::format("mask {} does not stretch to x {}", to_string(mask.shape()), to_string(x)));
}

Tensor selection(const Tensor& mask, DType dtype) {
  Tensor selected = mask.like(mask.shape(), dtype);
  const auto select = [&]<class From>(std::span<const From> from) {
    visit_floating("mask", dtype, [&]<class To>(To) {
      std::ranges::transform(from, selected.span<To>().begin(), [](From v) { return v != 0 ? To{1} : To{0}; });
    });
  };
  if (mask.dtype() == DType::int64)
    select(mask.span<std::int64_t>());
  else
    visit_floating("mask", mask.dtype(), [&]<class T>(T) { select(mask.span<T>()); });
  return selected;
}

void check_operands(const char* op, const Var& x, std::optional<DType> dtype, const Location& where) {
  if (!x.value()) fail<ArgumentError>(where, op, "the input holds nothing");
  if (dtype == DType::int64)
    fail<ArgumentError>(where, op, fmt::format("dtype must be float32 or float64; it is {}", dtype_name(*dtype)));
}

NormOperands::NormOperands(const Var& x, const Var& weight, const Var& bias, const Location& where)
    : x(x), weight(weight), bias(bias) {
  DType widest = DType::float32;
  for (const Var* input : {&x, &weight, &bias})
    if (input->value() && input->dtype() == DType::float64) widest = DType::float64;
  for (Var* input : {&this->x, &this->weight, &this->bias})
    if (input->value()) *input = cast(*input, widest, where);
}

void NormOperands::take(const Var& view, const Shape& affine, const Location& where) {
  x = view;
  for (Var* parameter : {&weight, &bias})
    if (parameter->value()) *parameter = reshape(*parameter, affine, where);
}

Var finished(const Var& y, std::optional<DType> dtype, const Var& residual, Activation activation,
             const Location& where) {
  Var out = dtype ? cast(y, *dtype, where) : y;
  if (residual.value()) out = Operand(out, where.source) + cast(residual, out.dtype(), where);
  return activate(out, activation, where);
}

}  // namespace tapestry::detail
