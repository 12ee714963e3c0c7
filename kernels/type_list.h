// A list of types, and the way from a number to one of them: a table of formulas from which everything else derives.
#pragma once

#include <cstddef>
#include <type_traits>

namespace tapestry {

template <class... T>
struct TypeList {
  static constexpr std::size_t size = sizeof...(T);
};

// The place of T in the list.
template <class T, class... All>
constexpr std::size_t index_in(TypeList<All...>) {
  static_assert((0 + ... + (std::is_same_v<T, All> ? 1 : 0)) == 1, "the list names the type once");
  std::size_t index = 0;
  static_cast<void>(((std::is_same_v<T, All> || (++index, false)) || ...));
  return index;
}

// Calls body(T{}) with the type at `index`; false when there is none.
template <class... T, class Body>
constexpr bool visit_type(TypeList<T...>, std::size_t index, const Body& body) {
  std::size_t i = 0;
  return ((i++ == index && (body(T{}), true)) || ...);
}

// One list of three, in their order.
template <class... A, class... B, class... C>
constexpr TypeList<A..., B..., C...> joined(TypeList<A...>, TypeList<B...>, TypeList<C...>) {
  return {};
}

}  // namespace tapestry
