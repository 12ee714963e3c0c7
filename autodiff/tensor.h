// A contiguous array: a counted handle to an arena block, a shape and an element type. Copies share the memory;
// clone() copies it. What outlives its step, or even its Context, stays valid.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "autodiff/dtype.h"
#include "autodiff/shape.h"
#include "kernels/device.h"

namespace tapestry {

class Tensor {
 public:
  Tensor() = default;                                     // holds nothing
  Tensor(Arena& arena, const Shape& shape, DType dtype);  // elements are not initialized

  explicit operator bool() const { return static_cast<bool>(block_); }
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  int rank() const { return shape_.rank(); }
  std::int64_t size() const { return block_ ? shape_.size() : 0; }
  std::size_t bytes() const { return static_cast<std::size_t>(size()) * dtype_bytes(dtype_); }

  // The elements, row-major; empty for a tensor that holds nothing. ArgumentError when T is not the element type.
  // Asking for writable elements counts as a change, which the tape's check for in-place conflicts sees.
  template <class T>
  std::span<const T> span() const {
    if (!block_) return {};
    check(dtype_of<T>());
    return {reinterpret_cast<const T*>(data_), static_cast<std::size_t>(shape_.size())};
  }
  template <class T>
  std::span<T> span() {
    if (!block_) return {};
    check(dtype_of<T>());
    block_.touch();
    return {reinterpret_cast<T*>(data_), static_cast<std::size_t>(shape_.size())};
  }
  // The only element, as a number; ShapeError when there is not exactly one.
  double item() const;

  Tensor reshape(const Shape& shape) const;                    // the same memory; ShapeError when sizes differ
  Tensor view(std::int64_t offset, const Shape& shape) const;  // `shape` elements from `offset` on, the same memory
  Tensor like() const { return like(shape_, dtype_); }         // same shape, type and arena, not initialized
  Tensor like(const Shape& shape) const { return like(shape, dtype_); }
  Tensor like(const Shape& shape, DType dtype) const;
  Tensor clone() const;
  Tensor to(DType dtype) const;  // converted copy; the same handle when the type is already `dtype`
  void fill(double value);
  void assign(const Tensor& other);  // copies the elements; ShapeError when shape or type differ

  const Block& block() const { return block_; }
  std::size_t offset() const { return static_cast<std::size_t>(data_ - block_.data()); }  // in bytes, within the block
  std::byte* raw() { return data_; }
  const std::byte* raw() const { return data_; }

 private:
  Tensor(Block block, std::byte* data, const Shape& shape, DType dtype)
      : block_(std::move(block)), data_(data), shape_(shape), dtype_(dtype) {}
  void check(DType wanted) const {
    if (wanted != dtype_) fail_dtype(wanted);
  }
  [[noreturn]] void fail_dtype(DType wanted) const;

  Block block_;
  std::byte* data_ = nullptr;
  Shape shape_;
  DType dtype_ = DType::float32;
};

// A tensor under the name that it has in files and lists, such as "2.weight".
struct NamedTensor {
  std::string name;
  Tensor value;
};

// Calls body(T{}) with T = float or double, whichever `dtype` is; ArgumentError, which names `op` and the type, else.
[[noreturn]] void fail_dtype(std::string_view op, DType dtype);
template <class Body>
void visit_floating(std::string_view op, DType dtype, const Body& body) {
  if (dtype == DType::float32) return body(float{});
  if (dtype == DType::float64) return body(double{});
  fail_dtype(op, dtype);
}

}  // namespace tapestry
