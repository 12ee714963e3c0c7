// The same elements under another shape; no memory moves.
#pragma once

#include <initializer_list>

#include "autodiff/var.h"

namespace tapestry {

// y = x's elements, row-major, as `shape`; one size may be -1 and follows from the others. ShapeError when the numbers
// of elements differ. Nothing is saved, and nothing recorded where x has this shape.
Var reshape(const Var& x, std::initializer_list<std::int64_t> sizes, Location where = std::source_location::current());
Var reshape(const Var& x, const Shape& shape, Location where = std::source_location::current());

// The axes from `start_axis` on as one: [N, ...] -> [N, product of the rest]. ShapeError when x has no axis.
Var flatten(const Var& x, int start_axis = 1, Location where = std::source_location::current());

}  // namespace tapestry
