#include "kernels/conv.h"

#include "kernels/matrix_unit.h"
#include "kernels/simd/or_null.h"

namespace tapestry::kernels {

void conv_forward(const Device& device, const ConvDims& dims, std::span<const float> x, std::span<const float> weight,
                  std::span<const float> bias, std::span<float> y) {
  if (!y.empty()) device.unit->conv_forward(device, dims, x.data(), weight.data(), or_null(bias), y.data());
}

void conv_backward_data(const Device& device, const ConvDims& dims, std::span<const float> weight,
                        std::span<const float> dy, std::span<float> dx) {
  if (!dx.empty()) device.unit->conv_backward_data(device, dims, weight.data(), dy.data(), dx.data());
}

void conv_backward_weights(const Device& device, const ConvDims& dims, std::span<const float> x,
                           std::span<const float> dy, std::span<float> dweight, std::span<float> dbias) {
  if (!dy.empty())
    device.unit->conv_backward_weights(device, dims, x.data(), dy.data(), or_null(dweight), or_null(dbias));
}

}  // namespace tapestry::kernels
