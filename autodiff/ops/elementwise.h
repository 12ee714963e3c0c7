// Arithmetic on elements. Shapes are broadcast by NumPy's rule: axes are aligned at the end, a size of 1 stretches;
// gradients are summed over stretched axes. A number stands for a constant of the other side's type.
// ShapeError where the shapes cannot be broadcast, ArgumentError where the types differ.
#pragma once

#include "autodiff/record.h"

namespace tapestry {

// One side of an operator: a Var or a number, and the line that wrote it.
class Operand {
 public:
  Operand(const Var& var, std::source_location where = std::source_location::current())  // NOLINT: implicit
      : var_(&var), where_(where) {}
  Operand(double number, std::source_location where = std::source_location::current())  // NOLINT: implicit
      : number_(number), where_(where) {}

  const Var* var() const { return var_; }  // nullptr for a number
  double number() const { return number_; }
  const std::source_location& where() const { return where_; }

 private:
  const Var* var_ = nullptr;
  double number_ = 0;
  std::source_location where_;
};

Var operator+(const Operand& a, const Operand& b);
Var operator-(const Operand& a, const Operand& b);
Var operator*(const Operand& a, const Operand& b);
Var operator/(const Operand& a, const Operand& b);
Var operator-(const Operand& x);

// The smaller or the larger of each pair; NaN where one is NaN. The gradient goes to the side that was taken; where
// both are equal (or one is NaN), each side gets half, as in PyTorch.
Var minimum(const Operand& a, const Operand& b);
Var maximum(const Operand& a, const Operand& b);

// x^y, with std::pow's special cases. d/dx = y x^(y-1), 0 for y = 0; d/dy = x^y log(x), 0 for x = 0 and y >= 0.
Var pow(const Operand& x, const Operand& y);

// a where mask is not 0, else b; mask is a Tensor of any type, such as less(x, y), and has no gradient.
Var where(const Tensor& mask, const Operand& a, const Operand& b);

// 1 where the comparison holds, else 0, as int64; there is no gradient. NaN is unequal to everything.
Tensor equal(const Operand& a, const Operand& b);
Tensor not_equal(const Operand& a, const Operand& b);
Tensor less(const Operand& a, const Operand& b);
Tensor less_equal(const Operand& a, const Operand& b);
Tensor greater(const Operand& a, const Operand& b);
Tensor greater_equal(const Operand& a, const Operand& b);

}  // namespace tapestry
