// Functions that a generic lambda may call by their bare names, whether it runs on float, double, xsimd::batch or Dual.
// Scalars find them here, the others through their arguments. As on the vector units, max and min give the second
// operand when either one is NaN.
#pragma once

#include <cmath>
#include <concepts>
#include <type_traits>
#include <xsimd/xsimd.hpp>

namespace tapestry {

using std::abs, std::exp, std::exp2, std::expm1, std::log, std::log2, std::log10, std::log1p, std::sqrt, std::cbrt,
    std::pow, std::sin, std::cos, std::tan, std::asin, std::acos, std::atan, std::sinh, std::cosh, std::tanh, std::erf,
    std::erfc;

namespace detail {
template <class T>
concept Number = std::is_arithmetic_v<T>;
template <class A, class B>
concept NumberPair = Number<A> && Number<B> &&(std::floating_point<A> || std::floating_point<B>);
}  // namespace detail

template <class A, class B>
requires detail::NumberPair<A, B>
auto max(A a, B b) {
  using T = std::common_type_t<A, B>;
  return static_cast<T>(a) > static_cast<T>(b) ? static_cast<T>(a) : static_cast<T>(b);
}
template <class A, class B>
requires detail::NumberPair<A, B>
auto min(A a, B b) {
  using T = std::common_type_t<A, B>;
  return static_cast<T>(a) < static_cast<T>(b) ? static_cast<T>(a) : static_cast<T>(b);
}
// a where the mask is set, b elsewhere; for vectors both are computed.
template <detail::Number A, detail::Number B>
auto select(bool mask, A a, B b) {
  using T = std::conditional_t<detail::NumberPair<A, B>, std::common_type_t<A, B>, double>;
  return mask ? static_cast<T>(a) : static_cast<T>(b);
}

// A vector with a number, which xsimd's own forms refuse.
template <class T, class Arch, detail::Number N>
xsimd::batch<T, Arch> max(const xsimd::batch<T, Arch>& a, N b) {
  return xsimd::max(a, xsimd::batch<T, Arch>(static_cast<T>(b)));
}
template <class T, class Arch, detail::Number N>
xsimd::batch<T, Arch> max(N a, const xsimd::batch<T, Arch>& b) {
  return xsimd::max(xsimd::batch<T, Arch>(static_cast<T>(a)), b);
}
template <class T, class Arch, detail::Number N>
xsimd::batch<T, Arch> min(const xsimd::batch<T, Arch>& a, N b) {
  return xsimd::min(a, xsimd::batch<T, Arch>(static_cast<T>(b)));
}
template <class T, class Arch, detail::Number N>
xsimd::batch<T, Arch> min(N a, const xsimd::batch<T, Arch>& b) {
  return xsimd::min(xsimd::batch<T, Arch>(static_cast<T>(a)), b);
}
template <class T, class Arch, std::floating_point N>
xsimd::batch<T, Arch> pow(const xsimd::batch<T, Arch>& x, N exponent) {
  return xsimd::pow(x, xsimd::batch<T, Arch>(static_cast<T>(exponent)));
}
template <class T, class Arch, detail::Number N>
xsimd::batch<T, Arch> select(const xsimd::batch_bool<T, Arch>& mask, const xsimd::batch<T, Arch>& a, N b) {
  return xsimd::select(mask, a, xsimd::batch<T, Arch>(static_cast<T>(b)));
}
template <class T, class Arch, detail::Number N>
xsimd::batch<T, Arch> select(const xsimd::batch_bool<T, Arch>& mask, N a, const xsimd::batch<T, Arch>& b) {
  return xsimd::select(mask, xsimd::batch<T, Arch>(static_cast<T>(a)), b);
}
template <class T, class Arch, detail::Number A, detail::Number B>
xsimd::batch<T, Arch> select(const xsimd::batch_bool<T, Arch>& mask, A a, B b) {
  return xsimd::select(mask, xsimd::batch<T, Arch>(static_cast<T>(a)), xsimd::batch<T, Arch>(static_cast<T>(b)));
}

}  // namespace tapestry
