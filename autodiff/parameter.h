// The state of a layer: parameters and buffers with an identity of their own. Copying a Parameter makes another one
// with the same numbers, moving it keeps its identity; lists, optimizers and tapes refer to the parameter itself.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "autodiff/var.h"

namespace tapestry {

// How a tensor lies in files, where weights keep PyTorch's layouts.
enum class FileLayout : std::uint8_t {
  as_is,   // as in memory
  linear,  // [in, out] in memory, [out, in] in files
  conv,    // [kernel..., inner, outer] in memory, [outer, inner, kernel...] in files
};

namespace detail {
struct Cell {
  std::shared_ptr<const void> names;  // keeps the layer paths that the model's ops name in errors
  std::string name;                   // dotted path once the model is built, such as "2.weight"
  Tensor value;                       // nothing before the model is built
  bool trainable = true, is_buffer = false;
  FileLayout layout = FileLayout::as_is;  // set by the layer, applied by io
  // What axis 0 was before a Flatten, such as [H, W, C]: files hold it in the order of PyTorch's, C, H, W. Empty:
  // nothing.
  Shape flattened;
};
}  // namespace detail

// A parameter or buffer, by reference: copies are the same one, which they keep alive.
class StateRef {
 public:
  StateRef() = default;  // refers to none; all that is asked of it but built() is an ArgumentError

  bool built() const { return cell_ != nullptr && cell_->value; }
  const std::string& name() const { return content().name; }  // its path once the model is built, such as "2.weight"
  const Tensor& value() const { return content().value; }     // nothing before
  const Shape& shape() const { return content().value.shape(); }
  // Overwrites the numbers; ShapeError when shape or type differ.
  void assign(const Tensor& value) { content().value.assign(value); }
  bool trainable() const { return content().trainable; }
  // Takes a parameter out of training, or back into it; a buffer is never trained.
  void freeze(bool frozen = true) { content().trainable = !frozen && !content().is_buffer; }

  const std::shared_ptr<detail::Cell>& cell() const { return cell_; }  // for the library itself
  friend bool operator==(const StateRef& a, const StateRef& b) { return a.cell_ == b.cell_; }

 protected:
  explicit StateRef(std::shared_ptr<detail::Cell> cell) : cell_(std::move(cell)) {}
  detail::Cell& content() const {
    if (!cell_) fail_moved();
    return *cell_;
  }
  std::shared_ptr<detail::Cell> cell_;

 private:
  [[noreturn]] static void fail_moved();
};

// What model.parameters() returns, in visit order, and what optimizers take: SGD{{weight, bias}, {.lr = 0.1}}.
using ParameterList = std::vector<StateRef>;

// A parameter or buffer itself. What was moved from is not built, and refers to none.
class StateCell : public StateRef {
 public:
  StateCell(const StateCell& other) : StateRef(other.cell_ ? std::make_shared<detail::Cell>(*other.cell_) : nullptr) {
    if (cell_) cell_->value = other.cell_->value.clone();
  }
  StateCell(StateCell&& other) noexcept : StateRef(std::exchange(other.cell_, nullptr)) {}
  StateCell& operator=(StateCell other) noexcept {
    cell_.swap(other.cell_);
    return *this;
  }

  // Makes `value` its own tensor (a copy when somebody else holds its memory), whatever was there before.
  void set(Tensor value) { content().value = value.block().unique() ? std::move(value) : value.clone(); }

 protected:
  explicit StateCell(bool is_buffer) : StateRef(std::make_shared<detail::Cell>()) {
    cell_->is_buffer = is_buffer;
    cell_->trainable = !is_buffer;
  }
};

// A trained tensor.
class Parameter : public StateCell {
 public:
  Parameter() : StateCell(false) {}
  // The parameter as an input of the computation that `x` belongs to. On a tape it is one leaf however often it is
  // asked for, so that the gradients of all its uses add up; a frozen one is a constant.
  // ArgumentError, which names the parameter, before the model is built.
  Var on(const Var& x) const;
};

// A tensor that is saved with the model but not trained, such as a running mean.
class Buffer : public StateCell {
 public:
  Buffer() : StateCell(true) {}
  // What the buffer becomes with the step of x's tape: what was queued last, or its value when nothing was.
  const Tensor& next(const Var& x) const;
  // Queues `next` as the buffer's value: it is committed when an optimizer takes the gradients, or by tape.commit().
  // Without a tape nothing is queued. ShapeError when the shapes differ.
  void update(const Var& x, Tensor next, const Location& where = {}) const;
};

// Moves the tensors of `states` into one block, in order, each aligned to 64 bytes. Those of different types get one
// block a type.
void flatten(const ParameterList& states);

}  // namespace tapestry
