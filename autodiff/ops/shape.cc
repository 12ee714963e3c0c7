#include "autodiff/ops/shape.h"

#include <fmt/format.h>

#include "autodiff/cost.h"
#include "autodiff/ops/broadcast.h"
#include "autodiff/ops/reshape.h"
#include "autodiff/ops/strided.h"

namespace tapestry {

PadSizes::PadSizes(std::initializer_list<std::int64_t> sizes) {
  for (std::int64_t size : sizes) add(size);
}

void PadSizes::add(std::int64_t size) {
  if (count_ == Shape::kMaxRank) throw ShapeError(fmt::format("sizes: at most {}", Shape::kMaxRank));
  sizes_[static_cast<std::size_t>(count_++)] = size;
}

namespace {

using detail::Strides;
using kernels::BroadcastDims;
using kernels::Device;

constexpr OpInfo kPermute("permute", moving_cost<Saved::nothing>);
constexpr OpInfo kBroadcastTo("broadcast_to", moving_cost<Saved::nothing>);
constexpr OpInfo kSlice("slice", moving_cost<Saved::nothing>);
constexpr OpInfo kPad("pad", moving_cost<Saved::nothing>);

void require_value(const char* op, const Var& x, const Location& where) {
  if (!x.value()) fail<ArgumentError>(where, op, "the input holds nothing");
}

// For ops that move elements.
void require_floating(const char* op, const Var& x, const Location& where) {
  require_value(op, x, where);
  if (x.dtype() == DType::int64) fail<ArgumentError>(where, op, "needs float32 or float64, got int64");
}

}  // namespace

Var squeeze(const Var& x, const Axes& axes, Location where) {
  require_value("squeeze", x, where);
  const Shape& shape = x.shape();
  Axes kept;
  for (int axis = 0; axis < shape.rank(); ++axis)
    if (shape[axis] != 1) kept.add(axis);
  if (axes.count() == 0) return reshape(x, detail::sizes_of(shape, kept), where);
  Axes dropped;
  for (int given : axes) {
    const int axis = detail::checked_axis("squeeze", shape, given, where);
    if (shape[axis] != 1)
      fail<ShapeError>(where, "squeeze",
                       fmt::format("axis {} has {} elements, not 1; x is {}", given, shape[axis], to_string(shape)));
    dropped.add(axis);
  }
  return reshape(x, detail::sizes_of(shape, detail::other_axes(shape.rank(), dropped)), where);
}

Var unsqueeze(const Var& x, int given, Location where) {
  require_value("unsqueeze", x, where);
  const Shape& shape = x.shape();
  return reshape(x, shape.insert(detail::checked_place("unsqueeze", shape, given, where), 1), where);
}

namespace {

// The walk over permute(x, order) for x of this shape.
BroadcastDims permuted_dims(const Shape& shape, const Axes& order) {
  const Strides strides = detail::strides_of(shape);
  Strides permuted{};
  for (int i = 0; i < order.count(); ++i)
    permuted[static_cast<std::size_t>(i)] = strides[static_cast<std::size_t>(order[i])];
  return detail::strided_dims(detail::sizes_of(shape, order), permuted);
}

}  // namespace

Var permute(const Var& x, const Axes& given, Location where) {
  require_floating(kPermute.name, x, where);
  const Shape& shape = x.shape();
  if (given.count() != shape.rank())
    fail<ShapeError>(where, kPermute.name, fmt::format("{} axes are named, x is {}", given.count(), to_string(shape)));
  const Axes order = detail::checked_axes(kPermute.name, shape, given, where);
  Tensor y = x.value().like(detail::sizes_of(shape, order));
  const Device& device = x.device();
  detail::gather_strided(device, permuted_dims(shape, order), x.value(), 0, y);
  const BroadcastDims back_dims = permuted_dims(y.shape(), detail::inverse_order(order));
  return record(kPermute, y, {x}, CallOptions(where, order), [&device, back_dims](const Tensor& dy, GradSlots grads) {
    if (Tensor dx = grads.overwrite(0)) detail::gather_strided(device, back_dims, dy, 0, dx);
  });
}

Var transpose(const Var& x, int axis_a, int axis_b, Location where) {
  require_floating("transpose", x, where);
  const int rank = x.shape().rank();
  const int a = detail::checked_axis("transpose", x.shape(), axis_a, where);
  const int b = detail::checked_axis("transpose", x.shape(), axis_b, where);
  Axes order;
  for (int axis = 0; axis < rank; ++axis) order.add(axis == a ? b : axis == b ? a : axis);
  return permute(x, order, where);
}

Var broadcast_to(const Var& x, const Shape& shape, Location where) {
  require_floating(kBroadcastTo.name, x, where);
  if (!stretches(x.shape(), shape))
    fail<ShapeError>(where, kBroadcastTo.name,
                     fmt::format("{} does not stretch to {}", to_string(x.shape()), to_string(shape)));
  const Device& device = x.device();
  Tensor y = x.value().like(shape);
  detail::gather_strided(device, detail::broadcast_dims(shape, {&x.shape()}), x.value(), 0, y);
  return record(kBroadcastTo, y, {x}, where, [&device, from = x.shape()](const Tensor& dy, GradSlots grads) {
    detail::give_gradient(device, grads, 0, from, dy);
  });
}

Var slice(const Var& x, SliceOptions options) {
  require_floating(kSlice.name, x, options.where);
  const Shape& shape = x.shape();
  const int axis = detail::checked_axis(kSlice.name, shape, options.axis, options.where);
  const std::int64_t size = shape[axis];
  const auto from_end = [&](std::int64_t place) { return place < 0 ? place + size : place; };
  const std::int64_t begin = from_end(options.begin);
  const std::int64_t end = options.end == SliceOptions{}.end ? size : from_end(options.end);
  if (options.step < 1)
    fail<ArgumentError>(options.where, kSlice.name, fmt::format("step must be 1 or more, got {}", options.step));
  if (begin < 0 || end > size || begin > end)
    fail<ShapeError>(
        options.where, kSlice.name,
        fmt::format("[{}, {}) does not lie within axis {} of {}", begin, end, options.axis, to_string(shape)));
  const Device& device = x.device();
  Tensor y = x.value().like(shape.with(axis, end == begin ? 0 : (end - begin - 1) / options.step + 1));
  Strides strides = detail::strides_of(shape);
  const std::size_t place = static_cast<std::size_t>(axis), offset = static_cast<std::size_t>(begin) * strides[place];
  strides[place] *= static_cast<std::size_t>(options.step);
  const BroadcastDims dims = detail::strided_dims(y.shape(), strides);
  detail::gather_strided(device, dims, x.value(), offset, y);
  return record(kSlice, y, {x}, options, [&device, dims, offset](const Tensor& dy, GradSlots grads) {
    if (Tensor dx = grads.add(0)) detail::scatter_strided(device, dims, dy, dx, offset, true);
  });
}

namespace {

// The width in front of an axis, or behind it.
std::int64_t pad_width(const PadSizes& sizes, const Shape& shape, int axis, const Location& where) {
  if (sizes.count() == 0) return 0;
  if (sizes.count() != shape.rank())
    fail<ShapeError>(where, kPad.name,
                     fmt::format("needs a width for each axis of {}, got {}", to_string(shape), sizes.count()));
  if (sizes[axis] < 0 || sizes[axis] > Shape::kMaxSize)
    fail<ArgumentError>(where, kPad.name, fmt::format("width {} of axis {} is out of range", sizes[axis], axis));
  return sizes[axis];
}

// The rules of the modes that repeat what lies inside.
void check_repeating(const Shape& shape, int axis, std::int64_t width, PadMode mode, const Location& where) {
  if (shape.rank() < 3 || shape.rank() > 5)
    fail<ShapeError>(
        where, kPad.name,
        fmt::format("x must be [N, ..., C] with one to three spatial axes for this mode; it is {}", to_string(shape)));
  const std::int64_t size = shape[axis];
  if ((axis == 0 || axis + 1 == shape.rank()) && width > 0)
    fail<ShapeError>(where, kPad.name, fmt::format("this mode pads spatial axes alone, not axis {}", axis));
  if (width > 0 &&
      (size == 0 || (mode == PadMode::reflect && width >= size) || (mode == PadMode::circular && width > size)))
    fail<ShapeError>(where, kPad.name,
                     fmt::format("axis {} of {} is too short to be repeated {} times", axis, to_string(shape), width));
}

}  // namespace

Shape padded_shape(const Shape& shape, const PadOptions& options) {
  std::array<std::int64_t, Shape::kMaxRank> sizes{};
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const std::int64_t before = pad_width(options.before, shape, axis, options.where),
                       after = pad_width(options.after, shape, axis, options.where);
    if (options.mode != PadMode::constant)
      check_repeating(shape, axis, std::max(before, after), options.mode, options.where);
    sizes[static_cast<std::size_t>(axis)] = before + shape[axis] + after;
  }
  try {
    return Shape(std::span<const std::int64_t>(sizes).first(static_cast<std::size_t>(shape.rank())));
  } catch (const ShapeError& error) {
    fail<ShapeError>(options.where, kPad.name, fmt::format("{} becomes too large: {}", to_string(shape), error.what()));
  }
}

Var pad(const Var& x, PadOptions options) {
  require_floating(kPad.name, x, options.where);
  if (options.mode != PadMode::constant) return detail::pad_repeating(kPad, x, options);
  const Shape& shape = x.shape();
  Tensor y = x.value().like(padded_shape(shape, options));
  const Strides strides = detail::strides_of(y.shape());
  std::size_t offset = 0;
  for (int axis = 0; axis < shape.rank() && options.before.count() > 0; ++axis)
    offset += static_cast<std::size_t>(options.before[axis]) * strides[static_cast<std::size_t>(axis)];
  const Device& device = x.device();
  const BroadcastDims dims = detail::strided_dims(shape, strides);
  y.fill(options.value);
  detail::scatter_strided(device, dims, x.value(), y, offset, false);
  return record(kPad, y, {x}, options, [&device, dims, offset](const Tensor& dy, GradSlots grads) {
    if (Tensor dx = grads.overwrite(0)) detail::gather_strided(device, dims, dy, offset, dx);
  });
}

}  // namespace tapestry
