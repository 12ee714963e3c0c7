// The state of a layer: cells with an identity of their own. Copying a Parameter copies its numbers into a new cell,
// moving it keeps the cell; optimizers and tapes hold the cell itself.
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
  bool trainable = true;
  FileLayout layout = FileLayout::as_is;  // set by the layer, applied by io
  // What axis 0 was before a Flatten, such as [H, W, C]: files hold it in the order of PyTorch's, C, H, W. Empty:
  // nothing.
  Shape flattened;
};
}  // namespace detail

// What model.parameters() returns: the cells themselves, in visit order.
using ParameterList = std::vector<std::shared_ptr<detail::Cell>>;

class StateCell {
 public:
  StateCell(const StateCell& other) : cell_(other.cell_ ? std::make_shared<detail::Cell>(*other.cell_) : nullptr) {
    if (cell_) cell_->value = other.cell_->value.clone();
  }
  StateCell(StateCell&& other) noexcept : cell_(std::exchange(other.cell_, nullptr)) {}
  StateCell& operator=(StateCell other) noexcept {
    cell_.swap(other.cell_);
    return *this;
  }

  // What was moved from is not built; all else that is asked of it is an ArgumentError.
  bool built() const { return cell_ != nullptr && cell_->value; }
  const std::string& name() const { return content().name; }
  const Tensor& value() const { return content().value; }
  // Makes `value` the cell's own tensor (a copy when somebody else holds its memory), whatever was there before.
  void set(Tensor value) { content().value = value.block().unique() ? std::move(value) : value.clone(); }
  // Overwrites the numbers; ShapeError when shape or type differ.
  void assign(const Tensor& value) { content().value.assign(value); }
  const Shape& shape() const { return content().value.shape(); }
  const std::shared_ptr<detail::Cell>& cell() const { return cell_; }

 protected:
  explicit StateCell(bool trainable) : cell_(std::make_shared<detail::Cell>()) { cell_->trainable = trainable; }
  detail::Cell& content() const {
    if (!cell_) fail_moved();
    return *cell_;
  }
  std::shared_ptr<detail::Cell> cell_;

 private:
  [[noreturn]] static void fail_moved();
};

// A trained tensor.
class Parameter : public StateCell {
 public:
  Parameter() : StateCell(true) {}
  bool trainable() const { return content().trainable; }
  void freeze(bool frozen = true) { content().trainable = !frozen; }
  // The parameter as an input of the computation that `x` belongs to. On a tape it is one leaf however often it is
  // asked for, so that the gradients of all its uses add up; a frozen one is a constant.
  // ArgumentError, which names the parameter, before the model is built.
  Var on(const Var& x) const;
};

// A tensor that is saved with the model but not trained, such as a running mean.
class Buffer : public StateCell {
 public:
  Buffer() : StateCell(false) {}
  // What the buffer becomes with the step of x's tape: what was queued last, or its value when nothing was.
  const Tensor& next(const Var& x) const;
  // Queues `next` as the buffer's value: it is committed when an optimizer takes the gradients, or by tape.commit().
  // Without a tape nothing is queued. ShapeError when the shapes differ.
  void update(const Var& x, Tensor next, const Location& where = {}) const;
};

// Moves the tensors of `cells` into one block, in order, each aligned to 64 bytes; cells keep their identity.
// Cells of different types get one block a type.
void flatten(const ParameterList& cells);

}  // namespace tapestry
