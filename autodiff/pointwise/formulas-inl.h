// The one list of formulas. Ops, the loops for each instruction set and those in double derive from it.
#pragma once

#include "autodiff/pointwise/activation-inl.h"
#include "autodiff/pointwise/functions-inl.h"

namespace tapestry::pointwise {
namespace {

// The activations are the first ones.
using Formulas = decltype(joined(Activations{}, ActivationForms{}, Functions{}));

template <class F>
constexpr Op op_of() {
  return static_cast<Op>(index_in<F>(Formulas{}));
}

// Calls body(F{}) with the formulas F of `op`.
template <class Body>
void visit(Op op, const Body& body) {
  visit_type(Formulas{}, static_cast<std::size_t>(op), body);
}

}  // namespace
}  // namespace tapestry::pointwise
