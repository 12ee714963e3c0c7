// The same elements under another shape; no memory moves.
#pragma once

#include <initializer_list>

#include "autodiff/var.h"

namespace tapestry {

// y = x's elements, row-major, as `shape`; one size may be -1 and follows from the others. ShapeError when the numbers
// of elements differ. Nothing is saved.
Var reshape(const Var& x, std::initializer_list<std::int64_t> sizes, Location where = std::source_location::current());
Var reshape(const Var& x, const Shape& shape, Location where = std::source_location::current());

// [N, ...] -> [N, product of the rest]. ShapeError when x has no axis.
Var flatten(const Var& x, Location where = std::source_location::current());

}  // namespace tapestry
