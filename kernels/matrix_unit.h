// The table behind the products: Highway's kernels fill it, and a faster unit of the CPU overrides its entries.
#pragma once

#include "kernels/matmul.h"

namespace tapestry::kernels {

struct MatrixUnit {
  const char* name;
  void (*matmul)(const Device&, const MatmulDims&, const float* a, const float* b, const float* bias, float* c);
};

// The unit that serves `target` at `precision` on this machine.
const MatrixUnit& matrix_unit(Target target, Precision precision);

}  // namespace tapestry::kernels
