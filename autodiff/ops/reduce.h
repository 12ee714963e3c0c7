// Reductions over axes.
#pragma once

#include <array>
#include <initializer_list>

#include "autodiff/record.h"

namespace tapestry {

// A few axes, each once; axis -1 is the last.
class Axes {
 public:
  Axes() = default;                 // none given
  Axes(int axis) : Axes({axis}) {}  // NOLINT: implicit
  // ShapeError for more than 6.
  Axes(std::initializer_list<int> axes);

  int count() const { return count_; }
  int operator[](int i) const { return axes_[static_cast<std::size_t>(i)]; }
  const int* begin() const { return axes_.data(); }
  const int* end() const { return axes_.data() + count_; }

 private:
  std::array<int, Shape::kMaxRank> axes_{};
  int count_ = 0;
};

struct ReduceOptions {
  Axes axes = {};        // none: all
  bool keepdim = false;  // reduced axes stay, with size 1
  Location where = std::source_location::current();
};

// All: ShapeError for an axis that x does not have or that is named twice. Sums are added in double.

// y = sum of x; 0 over no elements.
Var sum(const Var& x, ReduceOptions options = {});
// y = sum of x / count; ShapeError over no elements.
Var mean(const Var& x, ReduceOptions options = {});

}  // namespace tapestry
