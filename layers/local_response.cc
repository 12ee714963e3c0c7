#include "layers/local_response.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/error.h"

namespace tapestry {
namespace {

void check_rank(const LocalResponseNorm::Options& o, const Shape& x) {
  if (o.rank == 0 ? x.rank() >= 2 : x.rank() == o.rank) return;
  fail<ShapeError>(o.where, "LocalResponseNorm",
                   fmt::format("inputs must have {} axes{}; x is {}", o.rank == 0 ? 2 : o.rank,
                               o.rank == 0 ? " or more" : "", to_string(x)));
}

Var respond(const LocalResponseNorm::Options& o, const Var& x) {
  return local_response_norm(
      x, {.size = o.size, .alpha = o.alpha, .beta = o.beta, .k = o.k, .scaling = o.scaling, .where = o.where});
}

}  // namespace

Flow LocalResponseNorm::build(Builder& b, const Flow& in) const {
  if (in.shape) check_rank(options, in.shape->prepend(1));
  respond(options, b.context().input(b.context().zeros({0}, b.dtype())));  // for the op's checks
  return in;
}

Cost LocalResponseNorm::cost(const Shape&, const Shape& out) const {
  const auto elements = static_cast<double>(out.size());
  // A square and a sum for each of the window; scale, k, a logarithm and an exponential, the product.
  return {elements * (2 * static_cast<double>(std::min(options.size, out[-1])) + 5), elements * sizeof(float)};
}

Var LocalResponseNorm::operator()(const Var& x) const {
  check_rank(options, x.shape());
  return respond(options, x);
}

}  // namespace tapestry
