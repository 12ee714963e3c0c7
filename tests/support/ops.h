// The test of a differentiable op: gradients in double against differences, then float forward and backward on every
// target against double.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "autodiff/tape.h"

namespace tapestry::test {

struct OpCheck {
  double low = -1, high = 1;  // inputs are uniform in between
  double tolerance = 2e-6;    // float against double, relative to the largest element
  std::uint64_t seed = 1;
  double away_from = 1e300;  // a kink of the op: inputs are moved from it by 0.05
  bool float_too = true;
};

using OpFunction = std::function<Var(std::span<const Var>)>;

// One case: `f` on random inputs of these shapes. Call it with 12 shape lists or more for each op.
void check_op(const OpFunction& f, const std::vector<Shape>& shapes, OpCheck check = {});

// 13 shapes with axes: lengths around vectors, axes of 1, nothing at all.
const std::vector<Shape>& awkward_shapes();
// An op of one input, on these and on a single number.
void check_unary(const std::function<Var(const Var&)>& f, OpCheck check = {});

}  // namespace tapestry::test
