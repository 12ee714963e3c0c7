// The same numbers in another type.
#pragma once

#include "autodiff/record.h"

namespace tapestry {

// x as `dtype`, float32 or float64; x itself when it has that type. The gradient is converted back; integers have none.
// ArgumentError for another type.
Var cast(const Var& x, DType dtype, Location where = std::source_location::current());

}  // namespace tapestry
