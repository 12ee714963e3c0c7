#include "autodiff/ops/reshape.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "autodiff/record.h"

namespace tapestry {

Var reshape(const Var& x, const Shape& shape, Location where) {
  if (shape.size() != x.shape().size())
    fail<ShapeError>(where, "reshape",
                     fmt::format("{} has {} elements, {} has {}", to_string(x.shape()), x.shape().size(),
                                 to_string(shape), shape.size()));
  if (!x.value()) fail<ArgumentError>(where, "reshape", "x holds nothing");
  return record("reshape", x.value().reshape(shape), {x}, where,
                [before = x.shape()](const Tensor& dy, GradSlots grads) { grads.pass(0, dy.reshape(before)); });
}

Var reshape(const Var& x, std::initializer_list<std::int64_t> sizes, Location where) {
  std::array<std::int64_t, Shape::kMaxRank> known{};
  if (sizes.size() > known.size())
    fail<ShapeError>(where, "reshape", fmt::format("{} axes were asked for, at most 6 exist", sizes.size()));
  std::ranges::copy(sizes, known.begin());
  const std::span<std::int64_t> result(known.data(), sizes.size());
  const auto open = std::ranges::find(result, -1);
  if (open != result.end()) {
    *open = 1;
    const std::int64_t others = Shape(std::span<const std::int64_t>(result)).size();
    if (others == 0 || x.shape().size() % others != 0)
      fail<ShapeError>(where, "reshape",
                       fmt::format("no size for axis {} gives the {} elements of {}", open - result.begin(),
                                   x.shape().size(), to_string(x.shape())));
    *open = x.shape().size() / others;
  }
  return reshape(x, Shape(std::span<const std::int64_t>(result)), where);
}

Var flatten(const Var& x, Location where) {
  if (x.shape().rank() < 1) fail<ShapeError>(where, "flatten", "x has no batch axis, it is []");
  return reshape(x, Shape{x.shape()[0], x.shape().product(1, x.shape().rank())}, where);
}

}  // namespace tapestry
