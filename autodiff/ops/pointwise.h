// Functions of each element by itself. x has any shape, y the same; float32 is within 3 ulp of the exact result where
// that is a normal number (values below 1.2e-38 may become 0), NaN stays NaN. Slopes follow PyTorch.
#pragma once

#include <limits>

#include "autodiff/var.h"

namespace tapestry {

Var exp(const Var& x, Location where = std::source_location::current());         // saves y
Var expm1(const Var& x, Location where = std::source_location::current());       // exp(x) - 1; saves x
Var log(const Var& x, Location where = std::source_location::current());         // saves x
Var log1p(const Var& x, Location where = std::source_location::current());       // log(1 + x); saves x
Var sqrt(const Var& x, Location where = std::source_location::current());        // saves y
Var rsqrt(const Var& x, Location where = std::source_location::current());       // 1 / sqrt(x); saves y
Var abs(const Var& x, Location where = std::source_location::current());         // abs'(0) = 0; saves x
Var square(const Var& x, Location where = std::source_location::current());      // saves x
Var reciprocal(const Var& x, Location where = std::source_location::current());  // 1 / x; saves y
Var sin(const Var& x, Location where = std::source_location::current());         // saves x
Var cos(const Var& x, Location where = std::source_location::current());         // saves x
Var erf(const Var& x, Location where = std::source_location::current());         // saves x

struct ClampOptions {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  Location where = std::source_location::current();
};

// y = min where x < min, max where x > max, else x. The slope is 1 in [min, max], both ends included. Saves x.
// ArgumentError unless min <= max.
Var clamp(const Var& x, ClampOptions options = {});

}  // namespace tapestry
