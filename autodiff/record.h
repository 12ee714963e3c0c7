// How an op joins the tape. There is no form without a backward, so no op can cut the gradient by silence.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <new>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "autodiff/var.h"
#include "kernels/error.h"

namespace tapestry {

namespace detail {
struct Node;
}

// Where a backward writes one gradient. Nothing in `tensor` means that nobody wants it.
struct GradSlot {
  Tensor tensor;
  bool accumulate = false;  // add to what is there instead of overwriting it
  explicit operator bool() const { return static_cast<bool>(tensor); }
};

// The gradients that a node's inputs wait for, by input number.
class GradSlots {
 public:
  GradSlots(detail::TapeState* tape, std::int32_t node) : tape_(tape), node_(node) {}

  bool wants(int input) const;  // whether anybody needs this gradient; nobody does where the input holds nothing
  // To be written in full. Where the input has a gradient already, this is scratch, which the tape adds.
  Tensor overwrite(int input) const;
  // To be added to; zeros at first.
  Tensor add(int input) const;
  // For kernels that can do either.
  GradSlot slot(int input) const;
  // The gradient is this tensor itself (or is added).
  void pass(int input, const Tensor& gradient) const;

 private:
  const detail::Node& node() const;
  std::int32_t target(int input) const;  // the node that waits for this gradient, -1: none does
  detail::TapeState* tape_;
  std::int32_t node_;
};

namespace detail {

struct InputRef {
  InputRef(const Var& var) : var(&var) {}  // NOLINT: implicit
  const Var* var;
  bool optional = false;  // may hold nothing
};

struct ClosureOps {
  void (*run)(void* closure, const Tensor& dy, GradSlots grads);
  void (*destroy)(void* closure) noexcept;
};

template <class Backward>
inline constexpr ClosureOps kClosureOps{
    [](void* closure, const Tensor& dy, GradSlots grads) { (*static_cast<Backward*>(closure))(dy, grads); },
    [](void* closure) noexcept { static_cast<Backward*>(closure)->~Backward(); }};

// The tape that all inputs agree on, or nullptr when none of them needs a gradient. ArgumentError for an empty Var that
// is not optional, one whose tape is gone, or inputs from two tapes or contexts.
TapeState* common_tape(const char* op, std::span<const InputRef> inputs, const Location& where);
void* closure_space(TapeState* tape, std::size_t bytes, std::size_t alignment);
Var append(TapeState* tape, const OpInfo& op, Tensor y, std::span<const InputRef> inputs, const CallOptions& options,
           void* closure, const ClosureOps* ops);
Var untaped(const OpInfo& op, Tensor y, std::span<const InputRef> inputs, const CallOptions& options);

}  // namespace detail

// An input of record() that may hold nothing. It keeps its number, and its gradient is one that nobody wants.
inline detail::InputRef optional(const Var& input) {
  detail::InputRef ref(input);
  ref.optional = true;
  return ref;
}

// Makes y = op(inputs) a Var. When an input needs a gradient, `backward`, a callable (const Tensor& dy, GradSlots), is
// kept until it has run once; its captures are the saved tensors. Shapes of gradients are those of the inputs.
// `op` may be a mere name. Listeners hear `options`: those of the call where the op does all that they say, otherwise
// its Location alone.
template <class Backward>
Var record(const OpInfo& op, Tensor y, std::span<const detail::InputRef> inputs, const CallOptions& options,
           Backward&& backward) {
  using Closure = std::remove_cvref_t<Backward>;
  static_assert(std::is_invocable_v<Closure&, const Tensor&, GradSlots>);
  detail::TapeState* tape = detail::common_tape(op.name, inputs, options.where);
  if (tape == nullptr) return detail::untaped(op, std::move(y), inputs, options);
  void* closure =
      new (detail::closure_space(tape, sizeof(Closure), alignof(Closure))) Closure(std::forward<Backward>(backward));
  return detail::append(tape, op, std::move(y), inputs, options, closure, &detail::kClosureOps<Closure>);
}
template <class Backward>
Var record(const OpInfo& op, Tensor y, std::initializer_list<detail::InputRef> inputs, const CallOptions& options,
           Backward&& backward) {
  return record(op, std::move(y), std::span(inputs.begin(), inputs.size()), options, std::forward<Backward>(backward));
}

// The stream that the next random op on x's tape draws from, another one at each call: f(step, calls before); 0 off the
// tape.
std::uint64_t random_stream(const Var& x);

}  // namespace tapestry
