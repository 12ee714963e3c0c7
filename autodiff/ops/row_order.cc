#include "autodiff/ops/row_order.h"

#include <algorithm>

#include "autodiff/ops/reshape.h"
#include "autodiff/ops/shape.h"

namespace tapestry::detail {
namespace {

std::size_t count_of(const Shape& shape, const Axes& axes) {
  return static_cast<std::size_t>(sizes_of(shape, axes).size());
}

Shape matrix(std::size_t rows, std::size_t n) {
  return {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(n)};
}

}  // namespace

RowOrder::RowOrder(const Shape& x, const Axes& reduced, const Var& weight, const Var& bias) : shape_(x) {
  const auto has = [](const Var& parameter, int axis) { return parameter.value() && parameter.shape()[axis] != 1; };
  Axes shared;
  for (int axis : other_axes(x.rank(), reduced))
    has(weight, axis) || has(bias, axis) ? order_.add(axis) : shared.add(axis);
  parameter_ = with_ones(x, shared);
  weight_rows_ = count_of(x, order_);
  for (int axis : shared) order_.add(axis);
  rows_ = count_of(x, order_);
  n_ = count_of(x, reduced);
  for (int axis : reduced) order_.add(axis);
}

Var RowOrder::moved(const Var& x, const Location& where) const {
  return std::ranges::is_sorted(order_) ? x : permute(x, order_, where);
}

Var RowOrder::rows_of(const Var& x, const Location& where) const {
  return reshape(moved(x, where), matrix(rows_, n_), where);
}

Var RowOrder::parameter_rows(const Var& parameter, const Location& where) const {
  if (!parameter.value()) return {};
  const Var whole = parameter.shape() == parameter_ ? parameter : broadcast_to(parameter, parameter_, where);
  return reshape(moved(whole, where), matrix(weight_rows_, n_), where);
}

Var RowOrder::one_per_row(const Var& statistic, const Location& where) const {
  return reshape(moved(statistic, where), Shape{static_cast<std::int64_t>(rows_)}, where);
}

Var RowOrder::back(const Var& rows, const Location& where) const {
  if (std::ranges::is_sorted(order_)) return reshape(rows, shape_, where);
  return permute(reshape(rows, sizes_of(shape_, order_), where), inverse_order(order_), where);
}

}  // namespace tapestry::detail
