// Elements in another order or form. Squeezing is free; what moves elements makes a copy.
#pragma once

#include <array>
#include <initializer_list>
#include <limits>
#include <span>

#include "autodiff/axes.h"
#include "autodiff/record.h"

namespace tapestry {

// Up to 6 numbers, one an axis.
class PadSizes {
 public:
  PadSizes() = default;
  PadSizes(std::initializer_list<std::int64_t> sizes);  // ShapeError for more than 6

  void add(std::int64_t size);  // ShapeError for a seventh
  int count() const { return count_; }
  std::int64_t operator[](int i) const { return sizes_[static_cast<std::size_t>(i)]; }

 private:
  std::array<std::int64_t, Shape::kMaxRank> sizes_{};
  int count_ = 0;
};

// Without the named axes, or without all of size 1; ShapeError where a named axis has another size.
Var squeeze(const Var& x, const Axes& axes = {}, Location where = std::source_location::current());
// With an axis of size 1 in front of `axis`; -1 appends one.
Var unsqueeze(const Var& x, int axis, Location where = std::source_location::current());

// y's axis i is x's axis order[i]; each axis once.
Var permute(const Var& x, const Axes& order, Location where = std::source_location::current());
// Two axes swapped, by default the last two.
Var transpose(const Var& x, int axis_a = -2, int axis_b = -1, Location where = std::source_location::current());
// x stretched to `shape` by NumPy's rule; ShapeError where it does not stretch to it. The gradient is summed back.
Var broadcast_to(const Var& x, const Shape& shape, Location where = std::source_location::current());

struct SliceOptions {
  int axis = 0;
  std::int64_t begin = 0;                                       // below 0: from the end
  std::int64_t end = std::numeric_limits<std::int64_t>::max();  // excluded; below 0: from the end; by default all
  std::int64_t step = 1;                                        // 1 or more
  Location where = std::source_location::current();
};
// Elements begin, begin + step, ... below end of one axis; ShapeError outside the axis.
Var slice(const Var& x, SliceOptions options = {});

// What new elements are: a value, the mirrored inside without its border, the border itself, or the other end.
enum class PadMode { constant, reflect, replicate, circular };

struct PadOptions {
  PadSizes before = {}, after = {};  // new elements on each side of each axis; an empty list is all 0
  double value = 0;
  PadMode mode = PadMode::constant;
  Location where = std::source_location::current();
};
// x with a frame around it. Modes other than constant are for x [N, ..., C] with one to three spatial axes and pad
// those alone; ShapeError where such an axis is empty, or too short: reflect needs more elements than it adds on a
// side, circular as many (torch.nn.functional.pad).
Var pad(const Var& x, PadOptions options);
// The shape that it gives for x, and its errors.
Shape padded_shape(const Shape& x, const PadOptions& options);
namespace detail {
Var pad_repeating(const OpInfo& op, const Var& x, const PadOptions& options);  // the modes other than constant
}

struct JoinOptions {
  int axis = 0;
  Location where = std::source_location::current();
};
// Inputs one after the other along an axis that they have; the other sizes are equal.
Var concat(std::initializer_list<detail::InputRef> inputs, JoinOptions options = {});
Var concat(std::span<const Var> inputs, JoinOptions options = {});
// Inputs of one shape along a new axis.
Var stack(std::initializer_list<detail::InputRef> inputs, JoinOptions options = {});
Var stack(std::span<const Var> inputs, JoinOptions options = {});

}  // namespace tapestry
