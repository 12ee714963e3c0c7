#include "autodiff/parameter.h"

#include <fmt/format.h>

#include <cstring>

#include "autodiff/tape_state.h"

namespace tapestry {

void StateRef::fail_moved() { throw ArgumentError("this parameter or buffer was moved from"); }

Var Parameter::on(const Var& x) const {
  if (!built()) throw ArgumentError(fmt::format("parameter '{}' has no value yet: build the model first", name()));
  detail::TapeState* tape = x.tape();
  if (tape == nullptr) return x.constant(cell_->value);
  if (tape->generation != x.generation())
    throw ArgumentError(fmt::format("parameter '{}': the tape of this input is gone", cell_->name));
  if (tape->spent)
    throw ArgumentError(fmt::format("parameter '{}': backward() has been called on this tape", cell_->name));
  if (!trainable()) {
    tape->watched.push_back({cell_->value, cell_->value.block().version()});
    return x.constant(cell_->value);
  }
  return Var(cell_->value, x.context(), tape, x.generation(), tape->parameter_leaf(*this));
}

const Tensor& Buffer::next(const Var& x) const {
  if (x.tape() != nullptr && x.tape()->generation == x.generation())
    for (const detail::QueuedBuffer& queued : x.tape()->queue)
      if (queued.cell == cell_) return queued.next;
  return value();
}

void Buffer::update(const Var& x, Tensor next, const Location& where) const {
  if (next.shape() != shape() || next.dtype() != value().dtype())
    fail<ShapeError>(where, "buffer",
                     fmt::format("'{}' is {}, its update is {}", name(), to_string(shape()), to_string(next.shape())));
  if (x.tape() == nullptr) return;
  if (x.tape()->generation != x.generation())
    fail<ArgumentError>(where, "buffer", fmt::format("'{}': the tape of this input is gone", name()));
  for (detail::QueuedBuffer& queued : x.tape()->queue)
    if (queued.cell == cell_) {
      queued.next = std::move(next);
      return;
    }
  x.tape()->queue.push_back({cell_, std::move(next)});
}

void flatten(const ParameterList& states) {
  constexpr std::int64_t kAlignment = 64;
  for (DType dtype : {DType::float32, DType::float64, DType::int64}) {
    const std::int64_t step = kAlignment / static_cast<std::int64_t>(dtype_bytes(dtype));
    const auto padded = [&](const Tensor& value) { return (value.size() + step - 1) / step * step; };
    std::int64_t total = 0;
    const Tensor* first = nullptr;
    for (const StateRef& state : states)
      if (state.built() && state.value().dtype() == dtype) {
        total += padded(state.value());
        if (first == nullptr) first = &state.value();
      }
    if (first == nullptr) continue;
    Tensor flat = first->like(Shape{total});
    std::memset(flat.raw(), 0, flat.bytes());
    std::int64_t offset = 0;
    for (const StateRef& state : states) {
      if (!state.built() || state.value().dtype() != dtype) continue;
      Tensor view = flat.view(offset, state.shape());
      std::memcpy(view.raw(), state.value().raw(), view.bytes());
      offset += padded(view);
      state.cell()->value = std::move(view);
    }
  }
}

}  // namespace tapestry
