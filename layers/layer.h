// What a layer is: any copyable type that turns a Var into a Var.
#pragma once

#include <concepts>
#include <source_location>
#include <string_view>

#include "autodiff/var.h"

namespace tapestry {

enum class Mode { train, eval };

namespace detail {

template <class L>
concept CallableWithMode = requires(L& layer, const Var& x, Mode mode) {
  { layer(x, mode) } -> std::convertible_to<Var>;
};
template <class L>
concept CallableWithoutMode = requires(L& layer, const Var& x) {
  { layer(x) } -> std::convertible_to<Var>;
};

}  // namespace detail

// A layer is called as layer(x, mode), or as layer(x) when it does not care about the mode. What it may compute in one
// pass with its neighbours, and how it says so, is in layers/fusion.h.
template <class L>
concept Layer = std::copy_constructible<L> &&(detail::CallableWithMode<L> || detail::CallableWithoutMode<L>);

template <Layer L>
Var apply(L& layer, const Var& x, Mode mode) {
  if constexpr (detail::CallableWithMode<L>)
    return layer(x, mode);
  else
    return layer(x);
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
