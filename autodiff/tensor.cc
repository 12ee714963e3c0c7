#include "autodiff/tensor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "kernels/error.h"

namespace tapestry {
namespace {

template <class Body>
void visit_any(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::float32:
      return body(float{});
    case DType::float64:
      return body(double{});
    case DType::int64:
      return body(std::int64_t{});
  }
}

std::size_t bytes_of(const Shape& shape, DType dtype) {
  return static_cast<std::size_t>(shape.size()) * dtype_bytes(dtype);
}

}  // namespace

Tensor::Tensor(Arena& arena, const Shape& shape, DType dtype)
    : block_(arena.allocate(bytes_of(shape, dtype))), data_(block_.data()), shape_(shape), dtype_(dtype) {}

void Tensor::fail_dtype(DType wanted) const {
  throw ArgumentError(
      fmt::format("tensor {} holds {}, not {}", to_string(shape_), dtype_name(dtype_), dtype_name(wanted)));
}

double Tensor::item() const {
  if (size() != 1) throw ShapeError(fmt::format("item: the tensor must have one element; it is {}", to_string(shape_)));
  double value = 0;
  visit_any(dtype_, [&]<class T>(T) { value = static_cast<double>(span<T>()[0]); });
  return value;
}

Tensor Tensor::reshape(const Shape& shape) const {
  if (shape.size() != shape_.size())
    throw ShapeError(fmt::format("reshape: {} has {} elements, {} has {}", to_string(shape_), shape_.size(),
                                 to_string(shape), shape.size()));
  return Tensor(block_, data_, shape, dtype_);
}

Tensor Tensor::view(std::int64_t offset, const Shape& shape) const {
  if (offset < 0 || shape.size() > shape_.size() || offset > shape_.size() - shape.size())
    throw ShapeError(
        fmt::format("view: {} elements from {} on do not lie within {}", shape.size(), offset, to_string(shape_)));
  return Tensor(block_, data_ + static_cast<std::size_t>(offset) * dtype_bytes(dtype_), shape, dtype_);
}

Tensor Tensor::like(const Shape& shape, DType dtype) const {
  if (!block_) throw ArgumentError("like: the tensor holds nothing");
  Block block = block_.beside(bytes_of(shape, dtype));
  std::byte* data = block.data();
  return Tensor(std::move(block), data, shape, dtype);
}

Tensor Tensor::clone() const {
  if (!block_) return {};
  Tensor copy = like();
  std::memcpy(copy.data_, data_, bytes());
  return copy;
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == dtype_ || !block_) return *this;
  Tensor copy = like(shape_, dtype);
  visit_any(dtype_, [&]<class From>(From) {
    visit_any(dtype, [&]<class To>(To) {
      std::ranges::transform(span<From>(), copy.span<To>().begin(), [](From value) { return static_cast<To>(value); });
    });
  });
  return copy;
}

void Tensor::fill(double value) {
  if (block_) visit_any(dtype_, [&]<class T>(T) { std::ranges::fill(span<T>(), static_cast<T>(value)); });
}

void Tensor::assign(const Tensor& other) {
  if (!block_ || !other) throw ArgumentError("assign: a tensor holds nothing");
  if (other.shape_ != shape_ || other.dtype_ != dtype_)
    throw ShapeError(fmt::format("assign: {} {} cannot take {} {}", dtype_name(dtype_), to_string(shape_),
                                 dtype_name(other.dtype_), to_string(other.shape_)));
  block_.touch();
  std::memmove(data_, other.data_, bytes());
}

void fail_dtype(std::string_view op, DType dtype) {
  throw ArgumentError(fmt::format("{}: needs float32 or float64, got {}", op, dtype_name(dtype)));
}

}  // namespace tapestry
