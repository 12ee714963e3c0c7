#include <span>

#include "kernels/matrix_unit.h"
#include "kernels/reference.h"

namespace tapestry::kernels::fma {

void conv_backward_weights(const Device&, const ConvDims& d, const float* x, const float* dy, float* dweight,
                           float* dbias) {
  reference::conv_backward_weights(d, std::span(x, d.x_size()), std::span(dy, d.y_size()),
                                   std::span(dweight, dweight == nullptr ? 0 : d.weight_size()),
                                   std::span(dbias, dbias == nullptr ? 0 : d.out_channels));
}

}  // namespace tapestry::kernels::fma
