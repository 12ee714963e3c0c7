// An op of one's own from two lambdas, without a kernel.
#pragma once

#include <array>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "autodiff/record.h"

namespace tapestry {

// What a custom backward gets: the inputs and the result of the forward, in the order in which they were given.
template <std::size_t N>
struct CustomCall {
  std::array<Tensor, N> inputs;
  Tensor y;
};

// y = forward(inputs...), from Tensors to a Tensor. backward(call, dy, grads) writes dLoss/dinput through `grads`, as
// record() describes; a gradient that nobody wants is an empty Tensor. All inputs and y are saved.
// What `forward` throws goes on to the caller; an empty result is an ArgumentError.
template <class Forward, class Backward, class... Vars>
requires(std::is_same_v<Vars, Var>&&...) Var
    custom(const char* name, Forward&& forward, Backward&& backward, const Location& where, const Vars&... inputs) {
  constexpr std::size_t kInputs = sizeof...(Vars);
  using Call = CustomCall<kInputs>;
  static_assert(std::is_invocable_r_v<Tensor, Forward&, const decltype(inputs.value())&...>,
                "forward takes one const Tensor& for each input and returns a Tensor");
  static_assert(std::is_invocable_v<const std::remove_cvref_t<Backward>&, const Call&, const Tensor&, GradSlots>,
                "backward takes (const CustomCall<N>&, const Tensor& dy, GradSlots)");
  Tensor y = forward(inputs.value()...);
  if (!y) fail<ArgumentError>(where, name, "the forward returned a tensor that holds nothing");
  return record(name, y, {inputs...}, where,
                [call = Call{{inputs.value()...}, y}, backward = std::forward<Backward>(backward)](
                    const Tensor& dy, GradSlots grads) { backward(call, dy, grads); });
}
template <class Forward, class Backward, class... Vars>
requires(std::is_same_v<Vars, Var>&&...) Var
    custom(const char* name, Forward&& forward, Backward&& backward, const Vars&... inputs) {
  return custom(name, std::forward<Forward>(forward), std::forward<Backward>(backward), Location{}, inputs...);
}

}  // namespace tapestry
