// How x becomes rows of what has its statistics in common; not part of the public interface.
#pragma once

#include "autodiff/axes.h"
#include "autodiff/var.h"
#include "kernels/norm_general.h"

namespace tapestry::detail {

// x as rows [rows, n], each of which holds the elements that differ along `reduced` alone. Rows are in the order of x,
// but after the axes that weight or bias have: rows that share a row of weight are neighbours.
class RowOrder {
 public:
  // `reduced` rises; weight and bias have x's rank, and x's sizes or 1, or hold nothing.
  RowOrder(const Shape& x, const Axes& reduced, const Var& weight = {}, const Var& bias = {});

  kernels::GeneralNormDims dims(double epsilon, bool center = true) const {
    return {.rows = rows_, .n = n_, .weight_rows = weight_rows_, .epsilon = epsilon, .center = center};
  }
  Var rows_of(const Var& x, const Location& where) const;
  Var parameter_rows(const Var& parameter, const Location& where) const;  // [weight_rows, n], or nothing
  Var one_per_row(const Var& statistic, const Location& where) const;     // [rows] from x's shape with 1 for `reduced`
  Var back(const Var& rows, const Location& where) const;                 // as x lies

 private:
  Var moved(const Var& x, const Location& where) const;

  Shape shape_, parameter_;  // of x; of weight and bias, with 1 for axes that neither has
  Axes order_;
  std::size_t rows_, n_, weight_rows_;
};

}  // namespace tapestry::detail
