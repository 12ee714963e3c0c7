#include "autodiff/axes.h"

#include <fmt/format.h>

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

}  // namespace tapestry
