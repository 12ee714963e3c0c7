// What a layer is: any copyable type that turns a Var into a Var.
#pragma once

#include <concepts>
#include <source_location>
#include <string_view>

#include "autodiff/ops/activation.h"
#include "autodiff/ops/pool.h"
#include "autodiff/var.h"

namespace tapestry {

enum class Mode { train, eval };

// What stands around a layer and may be computed with it, in one pass: y = pool(activation(residual + layer(x))).
struct Tail {
  Activation activation = Activation::none;
  Var residual = {};      // of the shape of layer(x); nothing: none is added
  PoolWindows pool = {};  // none: nothing is pooled
};

namespace detail {

template <class L>
concept CallableWithMode = requires(L& layer, const Var& x, Mode mode) {
  { layer(x, mode) } -> std::convertible_to<Var>;
};
template <class L>
concept CallableWithoutMode = requires(L& layer, const Var& x) {
  { layer(x) } -> std::convertible_to<Var>;
};
template <class L>
concept CallableWithModeAndTail = requires(L& layer, const Var& x, Mode mode, const Tail& tail) {
  { layer(x, mode, tail) } -> std::convertible_to<Var>;
};
template <class L>
concept CallableWithTail = requires(L& layer, const Var& x, const Tail& tail) {
  { layer(x, tail) } -> std::convertible_to<Var>;
};

}  // namespace detail

// A layer is called as layer(x, mode), or as layer(x) when it does not care about the mode. One that can compute what
// follows it takes a tail too: layer(x, mode, tail) or layer(x, tail). Sequential then runs layer >> Relu as one op.
template <class L>
concept Layer = std::copy_constructible<L> &&(detail::CallableWithMode<L> || detail::CallableWithoutMode<L>);

template <Layer L>
Var apply(L& layer, const Var& x, Mode mode) {
  if constexpr (detail::CallableWithMode<L>)
    return layer(x, mode);
  else
    return layer(x);
}

// Whether the layer computes a tail's activation in its own pass: what takes a tail does, unless it says otherwise.
template <Layer L>
bool takes_activation(const L& layer) {
  if constexpr (requires { layer.takes_activation(); })
    return layer.takes_activation();
  else
    return detail::CallableWithModeAndTail<L> || detail::CallableWithTail<L>;
}

// Whether the layer adds a tail's residual in its own pass: only what says so does.
template <Layer L>
bool takes_residual(const L& layer) {
  if constexpr (requires { layer.takes_residual(); })
    return layer.takes_residual();
  else
    return false;
}

// Whether the layer takes the largest of a tail's windows in its own pass: only what says so does.
template <Layer L>
bool takes_pool(const L& layer) {
  if constexpr (requires { layer.takes_pool(); })
    return layer.takes_pool();
  else
    return false;
}

// pool(activation(residual + y)), as ops of their own.
Var finish(const Var& y, const Tail& tail);

// The layer and its tail: in one pass where the layer takes all of the tail.
template <Layer L>
Var apply(L& layer, const Var& x, Mode mode, const Tail& tail) {
  const bool taken = (tail.activation == Activation::none || takes_activation(layer)) &&
                     (!tail.residual.value() || takes_residual(layer)) && (tail.pool.axes == 0 || takes_pool(layer));
  if constexpr (detail::CallableWithModeAndTail<L>)
    return taken ? layer(x, mode, tail) : finish(layer(x, mode), tail);
  else if constexpr (detail::CallableWithTail<L>)
    return taken ? layer(x, tail) : finish(layer(x), tail);
  else
    return finish(apply(layer, x, mode), tail);
}

// The activation that a layer is, where the layer before it may compute it in its own pass.
template <Layer L>
Activation activation_of(const L& layer) {
  if constexpr (requires {
                  { layer.activation() } -> std::same_as<Activation>;
                })
    return layer.activation();
  else
    return Activation::none;
}

// The windows of which the layer takes the largest, where the layer before it may do so in its own pass.
template <Layer L>
PoolWindows windows_of(const L& layer) {
  if constexpr (requires {
                  { layer.windows() } -> std::same_as<PoolWindows>;
                })
    return layer.windows();
  else
    return {};
}

namespace detail {

// "Linear" for tapestry::Linear: the name of the type without namespaces and template arguments.
template <class L>
constexpr std::string_view type_name() {
  std::string_view name = std::source_location::current().function_name();
  name.remove_prefix(name.find("L = ") + 4);
  name = name.substr(0, name.find_first_of(";]"));
  if (name.find("lambda") != name.npos) return "lambda";
  name = name.substr(0, name.find('<'));
  const std::size_t scope = name.rfind("::");
  return scope == name.npos ? name : name.substr(scope + 2);
}

}  // namespace detail
}  // namespace tapestry
