#include "autodiff/ops/pointwise.h"

#include <fmt/format.h>

#include "autodiff/pointwise/run.h"

namespace tapestry {

using pointwise::apply;
using pointwise::Op;

Var exp(const Var& x, Location where) { return apply("exp", Op::exp, {}, x, where); }
Var expm1(const Var& x, Location where) { return apply("expm1", Op::expm1, {}, x, where); }
Var log(const Var& x, Location where) { return apply("log", Op::log, {}, x, where); }
Var log1p(const Var& x, Location where) { return apply("log1p", Op::log1p, {}, x, where); }
Var sqrt(const Var& x, Location where) { return apply("sqrt", Op::sqrt, {}, x, where); }
Var rsqrt(const Var& x, Location where) { return apply("rsqrt", Op::rsqrt, {}, x, where); }
Var abs(const Var& x, Location where) { return apply("abs", Op::abs, {}, x, where); }
Var square(const Var& x, Location where) { return apply("square", Op::square, {}, x, where); }
Var reciprocal(const Var& x, Location where) { return apply("reciprocal", Op::reciprocal, {}, x, where); }
Var sin(const Var& x, Location where) { return apply("sin", Op::sin, {}, x, where); }
Var cos(const Var& x, Location where) { return apply("cos", Op::cos, {}, x, where); }
Var erf(const Var& x, Location where) { return apply("erf", Op::erf, {}, x, where); }

Var clamp(const Var& x, ClampOptions options) {
  if (!(options.min <= options.max))
    fail<ArgumentError>(options.where, "clamp", fmt::format("min {} is above max {}", options.min, options.max));
  return apply("clamp", Op::clamp, {.a = options.min, .b = options.max}, x, options);
}

}  // namespace tapestry
