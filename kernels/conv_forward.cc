#include <span>

#include "kernels/matrix_unit.h"
#include "kernels/reference.h"

namespace tapestry::kernels::fma {

void conv_forward(const Device&, const ConvDims& d, const float* x, const float* weight, const float* bias, float* y) {
  reference::conv_forward(d, std::span(x, d.x_size()), std::span(weight, d.weight_size()),
                          std::span(bias, bias == nullptr ? 0 : d.out_channels), std::span(y, d.y_size()));
}

void conv_backward_data(const Device&, const ConvDims& d, const float* weight, const float* dy, float* dx) {
  reference::conv_backward_data(d, std::span(weight, d.weight_size()), std::span(dy, d.y_size()),
                                std::span(dx, d.x_size()));
}

}  // namespace tapestry::kernels::fma
