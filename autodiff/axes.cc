#include "autodiff/axes.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/error.h"

namespace tapestry {

Axes::Axes(std::initializer_list<int> axes) {
  if (axes.size() > static_cast<std::size_t>(Shape::kMaxRank))
    throw ShapeError(fmt::format("axes: at most {}, got {}", Shape::kMaxRank, axes.size()));
  for (int axis : axes) axes_[static_cast<std::size_t>(count_++)] = axis;
}

void Axes::add(int axis) {
  if (count_ == Shape::kMaxRank) throw ShapeError(fmt::format("axes: at most {}", Shape::kMaxRank));
  axes_[static_cast<std::size_t>(count_++)] = axis;
}

bool Axes::contains(int axis) const { return std::find(begin(), end(), axis) != end(); }

int Axes::operator[](int i) const {
  if (i < 0 || i >= count_) throw ShapeError(fmt::format("axes: there is no axis {} among {}", i, to_string(*this)));
  return axes_[static_cast<std::size_t>(i)];
}

std::string to_string(const Axes& axes) { return fmt::format("{{{}}}", fmt::join(axes.begin(), axes.end(), ", ")); }

namespace detail {
namespace {

int from_front(int axis, int rank) { return axis < 0 ? axis + rank : axis; }
bool exists(int axis, int rank) { return axis >= -rank && axis < rank; }

}  // namespace

std::optional<AxisFault> fault_of(const Axes& axes, int rank) {
  Axes seen;
  for (int axis : axes) {
    if (!exists(axis, rank)) return AxisFault{axis, false};
    if (seen.contains(from_front(axis, rank))) return AxisFault{axis, true};
    seen.add(from_front(axis, rank));
  }
  return {};
}

Axes rising(const Axes& axes, int rank) {
  Axes rising;
  for (int axis = 0; axis < rank; ++axis)
    if (axes.contains(axis) || axes.contains(axis - rank)) rising.add(axis);
  return rising;
}

int checked_axis(std::string_view op, const Shape& shape, int axis, const Location& where) {
  if (!exists(axis, shape.rank()))
    fail<ShapeError>(where, op, fmt::format("axis {} does not exist in {}", axis, to_string(shape)));
  return from_front(axis, shape.rank());
}

Axes checked_axes(std::string_view op, const Shape& shape, const Axes& axes, const Location& where) {
  const auto fault = fault_of(axes, shape.rank());
  if (fault && fault->twice)
    fail<ShapeError>(where, op, fmt::format("axis {} is named twice; x is {}", fault->axis, to_string(shape)));
  Axes checked;
  for (int axis : axes) checked.add(checked_axis(op, shape, axis, where));
  return checked;
}

int checked_place(std::string_view op, const Shape& shape, int axis, const Location& where) {
  if (!exists(axis, shape.rank() + 1) || shape.rank() == Shape::kMaxRank)
    fail<ShapeError>(where, op, fmt::format("no axis can be put at {} in {}", axis, to_string(shape)));
  return from_front(axis, shape.rank() + 1);
}

Axes last_axes(int rank, int count) {
  Axes axes;
  for (int axis = rank - count; axis < rank; ++axis) axes.add(axis);
  return axes;
}

Axes other_axes(int rank, const Axes& axes) {
  Axes others;
  for (int axis = 0; axis < rank; ++axis)
    if (!axes.contains(axis)) others.add(axis);
  return others;
}

Axes order_with_last(int rank, const Axes& axes) {
  Axes order = other_axes(rank, axes);
  for (int axis : axes) order.add(axis);
  return order;
}

Axes inverse_order(const Axes& order) {
  Axes inverse;
  for (int place = 0; place < order.count(); ++place)
    inverse.add(static_cast<int>(std::find(order.begin(), order.end(), place) - order.begin()));
  return inverse;
}

Shape sizes_of(const Shape& shape, const Axes& axes) {
  Shape sizes;
  for (int axis : axes) sizes = sizes.append(shape[axis]);
  return sizes;
}

Shape with_ones(const Shape& shape, const Axes& axes) {
  Shape ones = shape;
  for (int axis : axes) ones = ones.with(axis, 1);
  return ones;
}

}  // namespace detail
}  // namespace tapestry
