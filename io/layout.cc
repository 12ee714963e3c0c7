#include "io/layout.h"

#include <array>
#include <cstring>

namespace tapestry::io {
namespace {

using Order = std::array<int, Shape::kMaxRank>;

// Which axis in memory each axis of the file is.
Order file_order(int rank, FileLayout layout) {
  Order order{0, 1, 2, 3, 4, 5};
  if (layout == FileLayout::linear && rank >= 2)
    std::swap(order[static_cast<std::size_t>(rank - 2)], order[static_cast<std::size_t>(rank - 1)]);
  if (layout == FileLayout::conv && rank >= 2)
    for (int axis = 0; axis < rank; ++axis)
      order[static_cast<std::size_t>(axis)] = axis < 2 ? rank - 1 - axis : axis - 2;
  return order;
}

bool changes(const Order& order, int rank) {
  for (int axis = 0; axis < rank; ++axis)
    if (order[static_cast<std::size_t>(axis)] != axis) return true;
  return false;
}

Shape permuted(const Shape& shape, const Order& order) {
  std::array<std::int64_t, Shape::kMaxRank> sizes{};
  for (int axis = 0; axis < shape.rank(); ++axis)
    sizes[static_cast<std::size_t>(axis)] = shape[order[static_cast<std::size_t>(axis)]];
  return Shape(std::span<const std::int64_t>(sizes.data(), static_cast<std::size_t>(shape.rank())));
}

// Axis i of the result is axis order[i] of `from`.
Tensor permute(const Tensor& from, const Order& order) {
  Tensor to = from.like(permuted(from.shape(), order));
  const int rank = from.rank();
  std::array<std::int64_t, Shape::kMaxRank> strides{}, index{};
  std::int64_t stride = 1;
  for (int axis = rank - 1; axis >= 0; --axis) {
    for (int i = 0; i < rank; ++i)
      if (order[static_cast<std::size_t>(i)] == axis) strides[static_cast<std::size_t>(i)] = stride;
    stride *= from.shape()[axis];
  }
  const std::size_t item = dtype_bytes(from.dtype());
  const std::byte* source = from.raw();
  std::byte* target = to.raw();
  std::int64_t place = 0;
  for (std::int64_t i = 0; i < to.size(); ++i, target += item) {
    std::memcpy(target, source + static_cast<std::size_t>(place) * item, item);
    for (int axis = rank - 1; axis >= 0; --axis) {
      const auto at = static_cast<std::size_t>(axis);
      place += strides[at];
      if (++index[at] < to.shape()[axis]) break;
      place -= strides[at] * index[at];
      index[at] = 0;
    }
  }
  return to;
}

// The axes in memory, where a flattened axis 0 counts as two, positions and channels, and the order that files have.
struct FileAxes {
  FileAxes(const Shape& shape, FileLayout layout, const Shape& flattened)
      : memory(shape), order(file_order(shape.rank(), layout)) {
    if (flattened.rank() < 2 || shape.rank() == 0 || shape.rank() == Shape::kMaxRank || flattened.size() != shape[0])
      return;
    const std::int64_t channels = flattened[-1];
    memory = shape.with(0, channels).prepend(flattened.product(0, flattened.rank() - 1));
    Order split{};
    std::size_t to = 0;
    for (int axis = 0; axis < shape.rank(); ++axis) {
      const int from = order[static_cast<std::size_t>(axis)];
      split[to++] = from + 1;
      if (from == 0) split[to++] = 0;  // files have the positions behind the channels
    }
    order = split;
  }

  bool change() const { return changes(order, memory.rank()); }

  Shape memory;
  Order order;
};

}  // namespace

Shape file_shape(const Shape& shape, FileLayout layout) { return permuted(shape, file_order(shape.rank(), layout)); }

Tensor to_file(const Tensor& tensor, FileLayout layout, const Shape& flattened) {
  const FileAxes axes(tensor.shape(), layout, flattened);
  if (!axes.change()) return tensor;
  return permute(tensor.reshape(axes.memory), axes.order).reshape(file_shape(tensor.shape(), layout));
}

Tensor from_file(const Tensor& tensor, const Shape& shape, FileLayout layout, const Shape& flattened) {
  const FileAxes axes(shape, layout, flattened);
  if (!axes.change()) return tensor;
  Order inverse{};
  for (int axis = 0; axis < axes.memory.rank(); ++axis)
    inverse[static_cast<std::size_t>(axes.order[static_cast<std::size_t>(axis)])] = axis;
  return permute(tensor.reshape(permuted(axes.memory, axes.order)), inverse).reshape(shape);
}

Tensor channels_last(const Tensor& tensor) {
  if (tensor.rank() < 3) return tensor;
  Order order{0};
  for (int axis = 1; axis < tensor.rank(); ++axis)
    order[static_cast<std::size_t>(axis)] = axis + 1 < tensor.rank() ? axis + 1 : 1;
  return permute(tensor, order);
}

}  // namespace tapestry::io
