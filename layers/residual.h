// A layer beside a shortcut.
#pragma once

#include "layers/any_layer.h"

namespace tapestry {

// y = x + body(x), or projection(x) + body(x) where the body changes the shape (He et al., "Deep residual learning",
// CVPR 2016). Both sides must have the same shape: ShapeError otherwise, nothing is broadcast.
class Residual {
 public:
  struct Options {
    Location where = std::source_location::current();
  };
  template <Layer Body>
  explicit Residual(Body body, Location where = std::source_location::current())
      : options{.where = where}, body(std::move(body)) {}
  template <Layer Body, Layer Projection>
  Residual(Body body, Projection projection, Location where = std::source_location::current())
      : options{.where = where}, body(std::move(body)), projection(std::move(projection)) {}

  Options options;
  AnyLayer body;
  std::optional<AnyLayer> projection;

  void visit(Visitor& v) const;
  Flow build(Builder& b, const Flow& in);
  Cost cost(const Shape& in, const Shape& out) const;  // of the sum alone
  // A body that can adds the shortcut, and what follows it, in its own pass.
  Var operator()(const Var& x, Mode mode, const Tail& tail = {}) const;
  Part part() const;
};

}  // namespace tapestry
