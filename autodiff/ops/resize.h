// Images of another size, x [N, in, C] to y [N, out, C], with one to three spatial axes.
#pragma once

#include <array>
#include <initializer_list>

#include "autodiff/var.h"

namespace tapestry {

// A number for all spatial axes, or one for each, outermost first; by default none.
template <class T>
class PerAxis {
 public:
  PerAxis() = default;
  PerAxis(T all) : PerAxis({all}) {}         // NOLINT: implicit
  PerAxis(std::initializer_list<T> values);  // ShapeError for more than 3

  int count() const { return count_; }
  T operator[](int axis) const { return values_[count_ == 1 ? 0 : static_cast<std::size_t>(axis)]; }

 private:
  std::array<T, 3> values_{};
  int count_ = 0;
};

enum class Interpolation { nearest, linear };

struct InterpolateOptions {
  PerAxis<std::int64_t> size = {};    // of y; or
  PerAxis<double> scale_factor = {};  // floor(in scale_factor) positions
  Interpolation mode = Interpolation::nearest;
  bool align_corners = false;  // of linear: the outermost positions of x and y lie on each other, not their borders
  Location where = std::source_location::current();
};

// y[p] = x at p / scale, which is the position below it, or what lies linearly between its neighbours along each axis
// (torch.nn.functional.interpolate with nearest, and with linear, bilinear or trilinear). Saves nothing. ShapeError
// when x has no such axes, or an empty one; ArgumentError for numbers out of range.
Var interpolate(const Var& x, const InterpolateOptions& options);
// The shape that it gives for x, and its errors.
Shape interpolated_shape(const Shape& x, const InterpolateOptions& options);

}  // namespace tapestry
