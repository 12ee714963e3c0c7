#include "autodiff/shape.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/error.h"

namespace tapestry {

Shape::Shape(std::span<const std::int64_t> sizes) {
  if (sizes.size() > static_cast<std::size_t>(kMaxRank))
    throw ShapeError(fmt::format("shape: at most {} axes, got {}", kMaxRank, sizes.size()));
  std::int64_t product = 1;
  for (std::int64_t size : sizes) {
    if (size < 0) throw ShapeError(fmt::format("shape: sizes must not be negative, got {}", size));
    if (size != 0 && product > kMaxSize / size) throw ShapeError("shape: more than 2^46 elements");
    sizes_[static_cast<std::size_t>(rank_++)] = size;
    product *= std::max<std::int64_t>(size, 1);
  }
  size_ = std::find(sizes.begin(), sizes.end(), 0) == sizes.end() ? product : 0;
}

void Shape::fail_axis(int axis) const {
  throw ShapeError(fmt::format("axis {} does not exist in {}", axis, to_string(*this)));
}

Shape Shape::with(int axis, std::int64_t size) const {
  std::array<std::int64_t, kMaxRank> sizes = sizes_;
  sizes[static_cast<std::size_t>(this->axis(axis))] = size;
  return Shape(std::span<const std::int64_t>(sizes.data(), static_cast<std::size_t>(rank_)));
}

Shape Shape::insert(int axis, std::int64_t size) const {
  std::array<std::int64_t, kMaxRank + 1> sizes{};
  const auto place = std::copy_n(begin(), axis, sizes.begin());
  *place = size;
  std::copy(begin() + axis, end(), place + 1);
  return Shape(std::span<const std::int64_t>(sizes.data(), static_cast<std::size_t>(rank_) + 1));
}

Shape Shape::drop_front(int axes) const {
  if (axes < 0 || axes > rank_)
    throw ShapeError(fmt::format("shape: cannot drop {} axes of {}", axes, to_string(*this)));
  return Shape(sizes().subspan(static_cast<std::size_t>(axes)));
}

std::int64_t Shape::product(int begin, int end) const {
  std::int64_t product = 1;
  for (int axis = begin; axis < end; ++axis) product *= sizes_[static_cast<std::size_t>(axis)];
  return product;
}

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", ")); }

Shape broadcast(const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  std::array<std::int64_t, Shape::kMaxRank> sizes{};
  for (int axis = 1; axis <= rank; ++axis) {
    const std::int64_t size_a = axis <= a.rank() ? a[-axis] : 1, size_b = axis <= b.rank() ? b[-axis] : 1;
    if (size_a != size_b && size_a != 1 && size_b != 1)
      throw ShapeError(fmt::format("{} and {} cannot be broadcast: axis {} from the end has {} and {}", to_string(a),
                                   to_string(b), axis, size_a, size_b));
    sizes[static_cast<std::size_t>(rank - axis)] = size_a == 1 ? size_b : size_a;
  }
  return Shape(std::span<const std::int64_t>(sizes.data(), static_cast<std::size_t>(rank)));
}

bool stretches(const Shape& from, const Shape& to) {
  if (from.rank() > to.rank()) return false;
  for (int axis = 1; axis <= from.rank(); ++axis)
    if (from[-axis] != 1 && from[-axis] != to[-axis]) return false;
  return true;
}

}  // namespace tapestry
