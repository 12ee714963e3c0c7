// A few axes: as an argument, and what ops reckon with them.
#pragma once

#include <array>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "autodiff/location.h"
#include "autodiff/shape.h"

namespace tapestry {

// Axis -1 is the last.
class Axes {
 public:
  Axes() = default;                       // none given
  Axes(int axis) : Axes({axis}) {}        // NOLINT: implicit
  Axes(std::initializer_list<int> axes);  // ShapeError for more than 6

  void add(int axis);  // ShapeError for a seventh
  int count() const { return count_; }
  bool contains(int axis) const;  // as it was given
  int operator[](int i) const;    // ShapeError for i outside 0 to count() - 1
  const int* begin() const { return axes_.data(); }
  const int* end() const { return axes_.data() + count_; }

  friend bool operator==(const Axes& a, const Axes& b) = default;  // the same numbers in one order

 private:
  std::array<int, Shape::kMaxRank> axes_{};
  int count_ = 0;
};

std::string to_string(const Axes& axes);  // "{0, 1, 2}"

namespace detail {

// The first of axes that a shape of `rank` axes does not have, or that is named a second time; nothing: all are good.
struct AxisFault {
  int axis;
  bool twice;
};
std::optional<AxisFault> fault_of(const Axes& axes, int rank);
// The axes, which are good, in rising order and none below 0.
Axes rising(const Axes& axes, int rank);

// The axis, none below 0. ShapeError: axis 3 does not exist in [8, 10].
int checked_axis(std::string_view op, const Shape& shape, int axis, const Location& where);
// The axes in the order in which they were named. ShapeError for one that does not exist or is named twice.
Axes checked_axes(std::string_view op, const Shape& shape, const Axes& axes, const Location& where);
// Where an axis is to be put that is the given one afterwards. ShapeError where there is no such place.
int checked_place(std::string_view op, const Shape& shape, int axis, const Location& where);

Axes last_axes(int rank, int count);
// Those of `rank` that are not among `axes`.
Axes other_axes(int rank, const Axes& axes);
// The order that has `axes` behind all others.
Axes order_with_last(int rank, const Axes& axes);
// `inverse` of permute(permute(x, order), inverse) = x.
Axes inverse_order(const Axes& order);
// The sizes of these axes.
Shape sizes_of(const Shape& shape, const Axes& axes);
// The shape with 1 for these axes.
Shape with_ones(const Shape& shape, const Axes& axes);

}  // namespace detail
}  // namespace tapestry
