// What is computed in one pass: a layer says what it is in a pass, chains of layers are cut into passes by one table,
// in fusion.cc. docs/fusion.md has the patterns and what they gain.
#pragma once

#include <span>

#include "autodiff/ops/activation.h"
#include "autodiff/ops/pool.h"
#include "layers/layer.h"

namespace tapestry {

// What follows a layer and may be computed with it: y = pool(activation(residual + layer(x))).
struct Tail {
  Activation activation = Activation::none;
  Var residual = {};      // of the shape of layer(x), cast to its type; nothing: none is added
  PoolWindows pool = {};  // none: nothing is pooled
  Location where = std::source_location::current();  // of the sum, in errors

  bool empty() const { return activation == Activation::none && !residual.value() && pool.axes == 0; }
};

// pool(activation(residual + y)), as ops of their own. ShapeError unless residual and y have the same shape.
Var finish(const Var& y, const Tail& tail);

// What a layer is in a pass, which it says by
//   Part part() const { return Part::first(Part::Stage::norm, options.activation); }
// What begins a pass is called with what follows it, as layer(x, mode, tail) or layer(x, tail), and computes any tail.
// A layer without part() is by itself.
struct Part {
  // How far a pass has come, which decides what may follow; nothing may follow what is whole.
  enum class Stage { whole, convolution, norm, channel_norm, norm_and_sum, norm_and_activation };
  enum class Step { sum, activation, pool };

  // Of what begins a pass, with an activation of its own or none.
  static Part first(Stage stage, Activation own);
  // Of what is nothing but this tail of the layer before it.
  static Part follower(const Tail& tail) { return {.tail = tail}; }

  // Whether one op computes this step behind the pass; if so, the pass has it from now on.
  bool advance(Step step);
  // Moves to `to` what of `from` the pass computes, from the first step on; from the first that it does not, all stays.
  void take(Tail& from, Tail& to);
  // The same for a layer behind the pass: all of it or nothing. Returns which.
  bool take(const Part& next, Tail& to);

  Stage stage = Stage::whole;
  Tail tail = {};
};

template <Layer L>
Part part_of(const L& layer) {
  if constexpr (requires {
                  { layer.part() } -> std::same_as<Part>;
                })
    return layer.part();
  else
    return {};
}

// The layer and its tail, whatever the layer takes of it.
template <Layer L>
Var apply(L& layer, const Var& x, Mode mode, const Tail& tail) {
  if constexpr (requires {
                  { layer(x, mode, tail) } -> std::convertible_to<Var>;
                })
    return layer(x, mode, tail);
  else if constexpr (requires {
                       { layer(x, tail) } -> std::convertible_to<Var>;
                     })
    return layer(x, tail);
  else
    return finish(apply(layer, x, mode), tail);
}

// y -> shortcut + y in a chain(), in y's type. ShapeError unless both have the same shape.
struct Add {
  explicit Add(Var shortcut, Location where = std::source_location::current())
      : shortcut(std::move(shortcut)), where(where) {}
  Var shortcut;
  Location where;

  Part part() const { return Part::follower({.residual = shortcut, .where = where}); }
  Var operator()(const Var& y) const;
};

namespace detail {

// What of the tail the part takes goes to call(taken), the rest follows it.
template <class Call>
Var hand_tail(Part part, Tail tail, const Call& call) {
  Tail taken;
  part.take(tail, taken);
  return finish(call(taken), tail);
}

// The layer's own activation or that of its tail: one of them is none.
inline Activation either(Activation own, Activation taken) { return own == Activation::none ? taken : own; }

// A layer of a chain, by reference.
class Link {
 public:
  template <Layer L>
  explicit Link(L& layer)
      : layer_(&layer),
        part_([](const void* l) { return part_of(*static_cast<const L*>(l)); }),
        call_([](const void* l, const Var& x, Mode mode, const Tail& tail) {
          return apply(*const_cast<L*>(static_cast<const L*>(l)), x, mode, tail);
        }) {}
  Part part() const { return part_(layer_); }
  Var operator()(const Var& x, Mode mode, const Tail& tail) const { return call_(layer_, x, mode, tail); }

 private:
  const void* layer_;
  Part (*part_)(const void*);
  Var (*call_)(const void*, const Var&, Mode, const Tail&);
};

// The layers one after the other, each with those behind it that one pass computes; then the tail.
template <class Links>
Var run_passes(const Links& links, const Var& x, Mode mode, Tail tail) {
  const bool fuse = x.options().fuse;
  Var y = x;
  for (std::size_t i = 0; i < links.size();) {
    const auto& first = links[i++];
    Part pass = first.part();
    Tail own;
    while (fuse && i < links.size() && pass.take(links[i].part(), own)) ++i;
    if (fuse && i == links.size()) pass.take(tail, own);
    y = first(y, mode, own);
  }
  return finish(y, tail);
}

}  // namespace detail

// The layers one after the other, in as few passes as Sequential would make of them, for blocks with named members:
//   Var h = chain(x, mode, a, n, Relu{});
//   return chain(h, mode, b, m, Add{x}, Relu{});
template <class... Layers>
requires(Layer<std::remove_reference_t<Layers>>&&...) Var chain(const Var& x, Mode mode, Layers&&... layers) {
  const detail::Link links[] = {detail::Link(layers)...};
  return detail::run_passes(std::span(links), x, mode, {});
}

}  // namespace tapestry
