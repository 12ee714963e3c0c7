// Compiled once for each instruction set, with flags of its own. TAPESTRY_ARCH names the namespace of what it exports;
// TAPESTRY_VECTORS says whether it may use vectors. No inline code of others may come out: tests/house/symbols_test.sh.
#include "autodiff/pointwise/formulas-inl.h"

namespace tapestry::pointwise::TAPESTRY_ARCH {
namespace {

using Lanes = std::conditional_t<TAPESTRY_VECTORS, xsimd::simd_traits<float>::type, float>;
constexpr std::size_t kLanes = sizeof(Lanes) / sizeof(float);

template <class V = Lanes>
V load(const float* from) {
  if constexpr (std::is_same_v<V, float>)
    return *from;
  else
    return V::load_unaligned(from);
}
template <class V>
void store(V v, float* to) {
  if constexpr (std::is_same_v<V, float>)
    *to = v;
  else
    v.store_unaligned(to);
}

// The last elements run in a vector of their own, so that a number's result does not depend on its place.
Lanes load_first(std::size_t count, const float* from) {
  alignas(64) float buffer[kLanes] = {};
  for (std::size_t i = 0; i < count; ++i) buffer[i] = from[i];
  return load(buffer);
}
void store_first(std::size_t count, Lanes v, float* to) {
  alignas(64) float buffer[kLanes];
  store(v, buffer);
  for (std::size_t i = 0; i < count; ++i) to[i] = buffer[i];
}

// out[i] = f(in[i] ...).
template <class F, class... In>
void loop(std::size_t size, const F& f, float* out, const In*... in) {
  std::size_t i = 0;
  for (; i + kLanes <= size; i += kLanes) store(f(load(in + i)...), out + i);
  if (i < size) store_first(size - i, f(load_first(size - i, in + i)...), out + i);
}

Pair<Lanes> spread(const Params& params) { return {number<Lanes>(params.a), number<Lanes>(params.b)}; }

// Functions of their own for each formula, so that the compiler treats it as if there were no others.
template <class F>
void forward(const Params& params, const float* x, float* y, std::size_t size) {
  const Pair<Lanes> p = spread(params);
  loop(
      size, [&p](Lanes v) { return F::value(v, p); }, y, x);
}
template <class F>
void backward(const Params& params, const float* saved, const float* dy, float* dx, std::size_t size) {
  const Pair<Lanes> p = spread(params);
  loop(
      size, [&p](Lanes g, Lanes v) { return F::slope_times(g, v, p); }, dx, dy, saved);
}

template <class... F>
struct Table {
  explicit Table(TypeList<F...>) {}
  static constexpr Loops kLoops[] = {{forward<F>, backward<F>}...};
};

void prelu(const float* x, const float* w, float* y, std::size_t size) {
  loop(
      size, [](Lanes v, Lanes a) { return Prelu::value(v, a); }, y, x, w);
}
void prelu_dx(const float* x, const float* w, const float* dy, float* dx, std::size_t size) {
  loop(
      size, [](Lanes v, Lanes a, Lanes g) { return Prelu::slope_times(g, v, a); }, dx, x, w, dy);
}
void prelu_dw(const float* x, const float* dy, float* dw, std::size_t size) {
  loop(
      size, [](Lanes v, Lanes g) { return Prelu::weight_slope_times(g, v); }, dw, x, dy);
}

}  // namespace

extern const Kernels kKernels{decltype(Table(Formulas{}))::kLoops, prelu, prelu_dx, prelu_dw};

}  // namespace tapestry::pointwise::TAPESTRY_ARCH
