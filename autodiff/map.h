// Pointwise ops from a lambda of your own. One generic lambda runs on float, double and vectors of them, in one pass
// over memory forward and one backward:
//
//   Var y = map("softsign", x, [](auto x) { return x / (1 + abs(x)); });
//
// The gradient comes from dual numbers, or from a second lambda. Call functions by their bare names (lane_math.h lists
// them) and write select(x > 0, a, b) where a scalar would branch. The lambda is compiled with the flags of the file it
// stands in: with -march=native it uses the widest vectors, without flags those of the architecture's baseline.
#pragma once

#include <initializer_list>

#include "autodiff/cost.h"
#include "autodiff/dual.h"
#include "autodiff/record.h"
#include "kernels/device.h"

namespace tapestry {

namespace detail {

template <class F>
concept MapFunction = !std::convertible_to<F, Var> && !std::convertible_to<F, Location>;

// One function for each element; what it saves beside its inputs does not count.
constexpr OpInfo map_op(const char* name) { return {name, elementwise_cost<Saved::inputs>}; }

// ArgumentError for an empty input, one that is not floating, or two types; ShapeError for two shapes.
void check_map(const char* op, std::initializer_list<InputRef> inputs, const Location& where);

}  // namespace detail

// out[i] = f(in[i] ...), whole vectors first, the last elements and Target::scalar one by one. In place is allowed.
template <class T, class F, class... In>
void map_into(const kernels::Device& device, std::span<T> out, const F& f, In... in) {
  parallel_for(device.pool, out.size(), kernels::kGrain, [&](std::size_t begin, std::size_t end) {
    std::size_t i = begin;
    if constexpr (xsimd::has_simd_register<T>::value) {
      using Lanes = xsimd::batch<T>;
      const std::size_t vectors = device.target == Target::scalar ? 0 : (end - begin) / Lanes::size;
      for (const std::size_t last = begin + vectors * Lanes::size; i < last; i += Lanes::size)
        Lanes(f(Lanes::load_unaligned(in.data() + i)...)).store_unaligned(out.data() + i);
    }
    for (; i < end; ++i) out[i] = static_cast<T>(f(in[i]...));
  });
}

// y = f(x), any shape; dx = dy df(x), or dy df(x, y) where df takes two arguments. Saves x (and then y).
template <detail::MapFunction F, detail::MapFunction DF>
Var map(const char* name, const Var& x, const F& f, const DF& df, Location where = std::source_location::current()) {
  detail::check_map(name, {x}, where);
  const kernels::Device& device = x.device();
  Tensor y = x.value().like();
  visit_floating(name, x.dtype(), [&]<class T>(T) { map_into(device, y.span<T>(), f, x.value().span<T>()); });
  if constexpr (std::is_invocable_v<const DF&, double, double>) {
    return record(detail::map_op(name), y, {x}, where,
                  [&device, name, df, x = x.value(), y](const Tensor& dy, GradSlots grads) {
                    Tensor dx = grads.overwrite(0);
                    visit_floating(name, dy.dtype(), [&]<class T>(T) {
                      map_into(
                          device, dx.span<T>(), [&df](auto g, auto a, auto b) { return g * df(a, b); }, dy.span<T>(),
                          x.span<T>(), y.span<T>());
                    });
                  });
  } else {
    return record(detail::map_op(name), y, {x}, where,
                  [&device, name, df, x = x.value()](const Tensor& dy, GradSlots grads) {
                    Tensor dx = grads.overwrite(0);
                    visit_floating(name, dy.dtype(), [&]<class T>(T) {
                      map_into(
                          device, dx.span<T>(), [&df](auto g, auto a) { return g * df(a); }, dy.span<T>(), x.span<T>());
                    });
                  });
  }
}

// The same with df from dual numbers. Saves x.
template <detail::MapFunction F>
Var map(const char* name, const Var& x, const F& f, Location where = std::source_location::current()) {
  const auto df = [f](const auto& a) {
    using T = std::remove_cvref_t<decltype(a)>;
    return Dual<T>(f(Dual<T>(a, T(1)))).slope;
  };
  return map(name, x, f, df, where);
}

// z = f(x, y) for x and y of one shape; dx = dz dfx(x, y), dy = dz dfy(x, y). Saves x and y.
template <detail::MapFunction F, detail::MapFunction DFX, detail::MapFunction DFY>
Var map(const char* name, const Var& x, const Var& y, const F& f, const DFX& dfx, const DFY& dfy,
        Location where = std::source_location::current()) {
  detail::check_map(name, {x, y}, where);
  const kernels::Device& device = x.device();
  Tensor z = x.value().like();
  visit_floating(name, x.dtype(),
                 [&]<class T>(T) { map_into(device, z.span<T>(), f, x.value().span<T>(), y.value().span<T>()); });
  return record(detail::map_op(name), z, {x, y}, where,
                [&device, name, dfx, dfy, x = x.value(), y = y.value()](const Tensor& dz, GradSlots grads) {
                  const auto slope = [&](Tensor d, const auto& df) {
                    visit_floating(name, dz.dtype(), [&]<class T>(T) {
                      map_into(
                          device, d.span<T>(), [&df](auto g, auto a, auto b) { return g * df(a, b); }, dz.span<T>(),
                          x.span<T>(), y.span<T>());
                    });
                  };
                  slope(grads.overwrite(0), dfx);
                  slope(grads.overwrite(1), dfy);
                });
}

// The same with both slopes from dual numbers. Saves x and y.
template <detail::MapFunction F>
Var map(const char* name, const Var& x, const Var& y, const F& f, Location where = std::source_location::current()) {
  const auto dfx = [f](const auto& a, const auto& b) {
    using T = std::remove_cvref_t<decltype(a)>;
    return Dual<T>(f(Dual<T>(a, T(1)), Dual<T>(b))).slope;
  };
  const auto dfy = [f](const auto& a, const auto& b) {
    using T = std::remove_cvref_t<decltype(a)>;
    return Dual<T>(f(Dual<T>(a), Dual<T>(b, T(1)))).slope;
  };
  return map(name, x, y, f, dfx, dfy, where);
}

}  // namespace tapestry
