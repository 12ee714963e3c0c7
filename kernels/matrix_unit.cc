#include "kernels/matrix_unit.h"

namespace tapestry::kernels {

const MatrixUnit& matrix_unit(Target, Precision) {
  static constexpr MatrixUnit kFma{.name = "fma",
                                   .matmul = fma::matmul,
                                   .conv_forward = fma::conv_forward,
                                   .conv_backward_data = fma::conv_backward_data,
                                   .conv_backward_weights = fma::conv_backward_weights};
  return kFma;
}

}  // namespace tapestry::kernels
