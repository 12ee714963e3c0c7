// What the norm ops share: checks, types and what follows a norm; not part of the public interface.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <string_view>

#include "autodiff/axes.h"
#include "autodiff/ops/activation.h"
#include "autodiff/record.h"

namespace tapestry::detail {

inline void check_epsilon(std::string_view op, double epsilon, const Location& where) {
  if (!(epsilon > 0) || !std::isfinite(epsilon))
    fail<ArgumentError>(where, op, fmt::format("epsilon must be positive and finite; it is {}", epsilon));
}

// The axes in rising order, none below 0; ShapeError for one that x, of this shape, does not have, or that is named
// twice. `name` is the option's.
Axes rising_axes(const char* op, const char* name, const Axes& axes, const Shape& shape, const Location& where);

// The parameter, which has the sizes of `axes` alone, with x's rank: 1 elsewhere. Nothing stays nothing.
Var spread(const Var& parameter, const Shape& x, const Axes& axes, const Location& where);

// Forward as the layers count: 1 for the mean, 3 for the variance, 2 for the result, and 1 for each that lies beside x.
// Backward 2 for the normalized x again, 3 for the sums of dy and of dy times it, 4 for dx.
OpCosts norm_cost(const OpCall& call);

// An input beside x that may be missing.
void check_beside(const char* op, const char* name, const Var& input, const Var& x, const Shape& shape,
                  const Location& where);
// Whether a mask, where there is one, stretches to x.
void check_mask(const char* op, const Tensor& mask, const Shape& x, const Location& where);
// 1 where the mask is not 0, as `dtype`.
Tensor selection(const Tensor& mask, DType dtype);

// ArgumentError for an x that holds nothing, and unless `dtype`, the type of y, is float32 or float64.
void check_operands(const char* op, const Var& x, std::optional<DType> dtype, const Location& where);

// x and what lies beside it in one type: the widest of x, weight and bias, where integers count as float32.
struct NormOperands {
  NormOperands(const Var& x, const Var& weight, const Var& bias, const Location& where);
  // The same in another view: x as `view`, weight and bias as `affine`.
  void take(const Var& view, const Shape& affine, const Location& where);
  Var x, weight, bias;
};

// What follows a norm that could not compute it: y in the type that was asked for, plus the residual, activated.
Var finished(const Var& y, std::optional<DType> dtype, const Var& residual, Activation activation,
             const Location& where);

// The norm and what follows it: norm(residual, relu, options) computes both in its pass where types allow, and tells
// options that it does all of.
template <class Options, class Norm>
Var with_tail(const Var& x, const Options& o, const Norm& norm) {
  const bool one_type = o.dtype.value_or(x.dtype()) == x.dtype();
  const bool fused = one_type && (!o.residual.value() || o.residual.dtype() == x.dtype()) && x.options().fuse;
  const bool relu = fused && o.activation == Activation::relu;
  const bool all = one_type && (fused || !o.residual.value()) && (relu || o.activation == Activation::none);
  const Var y = norm(fused ? o.residual : Var{}, relu, all ? CallOptions(o) : CallOptions(o.where));
  return finished(y, o.dtype, fused ? Var{} : o.residual, relu ? Activation::none : o.activation, o.where);
}

}  // namespace tapestry::detail
