// What the norm ops share: checks, and the list of the inputs that are there; not part of the public interface.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <string_view>

#include <optional>

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
  Var input_bias = {};  // that x lacks, and that the mean would take away
};

// Whether adding `bias` to x changes no difference of x from its means, and so nothing has to be added: finite numbers
// for the last axis, which is the only one in `features`. ShapeError when it has another shape.
bool mean_drops(const char* op, const Var& bias, const Var& x, const Axes& features, const Location& where);

// The numbers that inputs have among those of the op; -1: not there.
struct NormPlaces {
  int weight = -1, bias = -1, residual = -1, input_bias = -1;
};

// x, and those of the others that hold something.
class NormInputs {
 public:
  NormInputs(const Var& x, const Var& weight, const Var& bias, const Var& residual, const Var& input_bias = {})
      : all_{x, x, x, x, x} {
    places_ = {add(weight), add(bias), add(residual), add(input_bias)};
  }
  std::span<const InputRef> span() const { return std::span(all_).first(static_cast<std::size_t>(count_)); }
  const NormPlaces& places() const { return places_; }
  // Whether a gradient will be asked for.
  bool wanted() const {
    return std::ranges::any_of(span(), [](const InputRef& input) { return input.var->requires_grad(); });
  }
  // What backward needs to know where the ReLU passes: y, or nothing where it can compute that from x.
  Tensor mask(bool relu, const Tensor& y) const { return relu && places_.residual >= 0 ? y : Tensor{}; }

 private:
  int add(const Var& input) {
    if (!input.value()) return -1;
    all_[static_cast<std::size_t>(count_)] = input;
    return count_++;
  }
  std::array<InputRef, 5> all_;
  int count_ = 1;
  NormPlaces places_;
};

// Where backward writes; nothing for inputs that are not there or that nobody asks about.
struct NormGradients {
  NormGradients(GradSlots grads, const NormPlaces& at)
      : dx(grads.overwrite(0)),
        dweight(at.weight < 0 ? Tensor{} : grads.add(at.weight)),
        dbias(at.bias < 0 ? Tensor{} : grads.add(at.bias)),
        dresidual(at.residual < 0 ? Tensor{} : grads.overwrite(at.residual)) {
    if (at.input_bias >= 0) grads.add(at.input_bias);  // 0
  }
  Tensor dx, dweight, dbias, dresidual;
};

// What follows a norm that could not compute it: y in the type that was asked for, plus the residual, activated.
Var finished(const Var& y, std::optional<DType> dtype, const Var& residual, Activation activation,
             const Location& where);

// The norm and what follows it: norm(residual, relu) computes both in its pass where types allow.
template <class Options, class Norm>
Var with_tail(const Var& x, const Options& o, const Norm& norm) {
  const bool one_type =
      o.dtype.value_or(x.dtype()) == x.dtype() && (!o.residual.value() || o.residual.dtype() == x.dtype());
  if (!one_type || !x.options().fuse) return finished(norm(Var{}, false), o.dtype, o.residual, o.activation, o.where);
  const bool relu = o.activation == Activation::relu;
  return finished(norm(o.residual, relu), {}, {}, relu ? Activation::none : o.activation, o.where);
}

}  // namespace tapestry::detail
