// A few axes, as an argument.
#pragma once

#include <array>
#include <initializer_list>

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
  int operator[](int i) const { return axes_[static_cast<std::size_t>(i)]; }
  const int* begin() const { return axes_.data(); }
  const int* end() const { return axes_.data() + count_; }

 private:
  std::array<int, Shape::kMaxRank> axes_{};
  int count_ = 0;
};

}  // namespace tapestry
