// The sizes of a tensor's axes, outermost first: at most 6, kept in place.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace tapestry {

class Shape {
 public:
  static constexpr int kMaxRank = 6;
  // Elements. Eight bytes each are more than machines address, and far from where 64 bits end: no product of sizes,
  // bytes or strides overflows.
  static constexpr std::int64_t kMaxSize = std::int64_t{1} << 46;

  Shape() = default;  // rank 0: one element
  // ShapeError for a negative size, more than 6 axes, or more than 2^46 elements.
  Shape(std::initializer_list<std::int64_t> sizes) : Shape(std::span(sizes.begin(), sizes.size())) {}
  explicit Shape(std::span<const std::int64_t> sizes);

  int rank() const { return rank_; }
  std::int64_t size() const { return size_; }  // number of elements
  // Axis -1 is the last. ShapeError outside [-rank, rank).
  std::int64_t operator[](int axis) const { return sizes_[static_cast<std::size_t>(this->axis(axis))]; }
  int axis(int axis) const {
    if (axis < -rank_ || axis >= rank_) fail_axis(axis);
    return axis < 0 ? axis + rank_ : axis;
  }
  std::span<const std::int64_t> sizes() const { return {sizes_.data(), static_cast<std::size_t>(rank_)}; }
  const std::int64_t* begin() const { return sizes_.data(); }
  const std::int64_t* end() const { return sizes_.data() + rank_; }

  Shape with(int axis, std::int64_t size) const;                         // the same with one axis changed
  Shape prepend(std::int64_t size) const { return insert(0, size); }     // [size, ...]
  Shape append(std::int64_t size) const { return insert(rank_, size); }  // [..., size]
  Shape insert(int axis, std::int64_t size) const;  // with one axis more, in front of which are the first `axis`
  Shape drop_front(int axes = 1) const;             // without the first axes
  std::int64_t product(int begin, int end) const;   // of the sizes in [begin, end)

  friend bool operator==(const Shape& a, const Shape& b) { return a.rank_ == b.rank_ && a.sizes_ == b.sizes_; }

 private:
  [[noreturn]] void fail_axis(int axis) const;

  std::array<std::int64_t, kMaxRank> sizes_{};
  std::int64_t size_ = 1;
  int rank_ = 0;
};

std::string to_string(const Shape& shape);  // "[8, 28, 28, 18]"

// The shape of elementwise work on both: axes are aligned at the end, a size of 1 stretches (NumPy's rule).
// ShapeError, which names both, where they do not fit.
Shape broadcast(const Shape& a, const Shape& b);
// Whether a tensor of shape `from` stretches to `to` by this rule.
bool stretches(const Shape& from, const Shape& to);

}  // namespace tapestry
