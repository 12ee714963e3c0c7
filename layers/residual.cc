#include "layers/residual.h"

#include <fmt/format.h>

#include "kernels/error.h"

namespace tapestry {
namespace {

void require_equal(const Shape& body, const Shape& shortcut, bool projected, const Location& where) {
  if (body == shortcut) return;
  fail<ShapeError>(
      where, "Residual",
      fmt::format("the body gives {}, the {} gives {}; {}", to_string(body), projected ? "projection" : "shortcut",
                  to_string(shortcut), projected ? "both must be equal" : "a projection can make them equal"));
}

}  // namespace

void Residual::visit(Visitor& v) const {
  body.visit("body", v);
  if (projection) projection->visit("projection", v);
}

Flow Residual::build(Builder& b, const Flow& in) {
  const Flow out = body.build(b, in);
  const Flow shortcut = projection ? projection->build(b, in) : in;
  if (out.shape && shortcut.shape && !out.guessed && !shortcut.guessed)
    require_equal(*out.shape, *shortcut.shape, projection.has_value(), options.where);
  return out.shape ? out : shortcut;
}

Cost Residual::cost(const Shape&, const Shape& out) const {
  const auto elements = static_cast<double>(out.size());
  return {elements, elements * sizeof(float)};
}

Var Residual::operator()(const Var& x, Mode mode, const Tail& tail) const {
  const Add add(projection ? (*projection)(x, mode) : x, options.where);
  const detail::Link links[] = {detail::Link(body), detail::Link(add)};
  return detail::run_passes(std::span(links), x, mode, tail);
}

Part Residual::part() const {
  Part pass = body.part();
  return pass.advance(Part::Step::sum) ? pass : Part{};
}

}  // namespace tapestry
