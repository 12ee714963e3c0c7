#include "autodiff/ops/pointwise.h"

#include <fmt/format.h>

#include "autodiff/pointwise/formulas-inl.h"
#include "autodiff/pointwise/run.h"

namespace tapestry {
namespace {

template <class Formula>
Var apply(const Var& x, const Location& where) {
  return pointwise::apply(pointwise::op_of<Formula>(), {}, x, where);
}

}  // namespace

Var exp(const Var& x, Location where) { return apply<pointwise::Exp>(x, where); }
Var expm1(const Var& x, Location where) { return apply<pointwise::Expm1>(x, where); }
Var log(const Var& x, Location where) { return apply<pointwise::Log>(x, where); }
Var log1p(const Var& x, Location where) { return apply<pointwise::Log1p>(x, where); }
Var sqrt(const Var& x, Location where) { return apply<pointwise::Sqrt>(x, where); }
Var rsqrt(const Var& x, Location where) { return apply<pointwise::Rsqrt>(x, where); }
Var abs(const Var& x, Location where) { return apply<pointwise::Abs>(x, where); }
Var square(const Var& x, Location where) { return apply<pointwise::Square>(x, where); }
Var reciprocal(const Var& x, Location where) { return apply<pointwise::Reciprocal>(x, where); }
Var sin(const Var& x, Location where) { return apply<pointwise::Sin>(x, where); }
Var cos(const Var& x, Location where) { return apply<pointwise::Cos>(x, where); }
Var erf(const Var& x, Location where) { return apply<pointwise::Erf>(x, where); }

Var clamp(const Var& x, ClampOptions options) {
  if (!(options.min <= options.max))
    fail<ArgumentError>(options.where, "clamp", fmt::format("min {} is above max {}", options.min, options.max));
  return pointwise::apply(pointwise::op_of<pointwise::Clamp>(), {options.min, options.max}, x, options);
}

}  // namespace tapestry
