// How a product is cut into tasks; not part of the public interface.
#pragma once

#include <cstddef>

#include "kernels/runtime/meter.h"

namespace tapestry::kernels {

// A task of a product: columns [column, column + columns) of rows [row, row_end) of C.
struct MatmulPanel {
  std::size_t row, row_end, column, columns;
  Meter* meter = nullptr;  // of packing
};

// How a product is computed: by panels of columns; by several panels at once where sums are short; with vectors along
// the rows of C, or along k, where columns do not fill a vector.
enum class MatmulForm { panel, short_panels, flipped, dots };

struct MatmulPlan {
  MatmulForm form;
  std::size_t rows, columns;  // of C, for a task
  std::size_t scratch;        // floats for a task
  std::size_t dot_depth = 0;  // dots: k at a time, packed by one task
};

}  // namespace tapestry::kernels
