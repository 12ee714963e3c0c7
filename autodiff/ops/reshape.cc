#include "autodiff/ops/reshape.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "autodiff/record.h"

namespace tapestry {

namespace {
constexpr OpInfo kReshape("reshape", [](const OpCall&) { return OpCosts{}; });  // the same memory under another shape
}

Var reshape(const Var& x, const Shape& shape, Location where) {
  if (shape.size() != x.shape().size())
    fail<ShapeError>(where, kReshape.name,
                     fmt::format("{} has {} elements, {} has {}", to_string(x.shape()), x.shape().size(),
                                 to_string(shape), shape.size()));
  if (!x.value()) fail<ArgumentError>(where, kReshape.name, "x holds nothing");
  if (shape == x.shape()) return x;
  return record(kReshape, x.value().reshape(shape), {x}, where,
                [before = x.shape()](const Tensor& dy, GradSlots grads) { grads.pass(0, dy.reshape(before)); });
}

Var reshape(const Var& x, std::initializer_list<std::int64_t> sizes, Location where) {
  std::array<std::int64_t, Shape::kMaxRank> known{};
  if (sizes.size() > known.size())
    fail<ShapeError>(where, kReshape.name, fmt::format("{} axes were asked for, at most 6 exist", sizes.size()));
  std::ranges::copy(sizes, known.begin());
  const std::span<std::int64_t> result(known.data(), sizes.size());
  const auto open = std::ranges::find(result, -1);
  if (open != result.end()) {
    *open = 1;
    const std::int64_t others = Shape(std::span<const std::int64_t>(result)).size();
    if (others == 0 || x.shape().size() % others != 0)
      fail<ShapeError>(where, kReshape.name,
                       fmt::format("no size for axis {} gives the {} elements of {}", open - result.begin(),
                                   x.shape().size(), to_string(x.shape())));
    *open = x.shape().size() / others;
  }
  return reshape(x, Shape(std::span<const std::int64_t>(result)), where);
}

Var flatten(const Var& x, int start_axis, Location where) {
  const Shape& shape = x.shape();
  if (shape.rank() < 1) fail<ShapeError>(where, "flatten", "x has no batch axis, it is []");
  const int start = start_axis < 0 ? start_axis + shape.rank() : start_axis;
  if (start < 0 || start > shape.rank() || start == Shape::kMaxRank)
    fail<ShapeError>(where, "flatten", fmt::format("axis {} does not exist in {}", start_axis, to_string(shape)));
  std::array<std::int64_t, Shape::kMaxRank> sizes{};
  std::copy_n(shape.begin(), start, sizes.begin());
  sizes[static_cast<std::size_t>(start)] = shape.product(start, shape.rank());
  return reshape(x, Shape(std::span<const std::int64_t>(sizes.data(), static_cast<std::size_t>(start) + 1)), where);
}

}  // namespace tapestry
