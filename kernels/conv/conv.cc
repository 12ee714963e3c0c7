#include "kernels/conv.h"

#include "kernels/conv/depthwise.h"
#include "kernels/conv/plan.h"
#include "kernels/matrix_unit.h"
#include "kernels/simd/or_null.h"

namespace tapestry::kernels {

void conv_forward(const Device& device, const ConvDims& dims, std::span<const float> x, std::span<const float> weight,
                  std::span<const float> bias, std::span<float> y, const ImageSteps& steps) {
  if (!y.empty()) device.unit->conv_forward(device, dims, x.data(), weight.data(), or_null(bias), y.data(), steps);
}

bool conv_forward_by_image_pays(const Device& device, const ConvDims& dims) {
  return device.unit->executor == nullptr && !is_depthwise(dims) && dims.y_size() > 0 &&
         ConvJob::image_by_image_pays(forward_correlation(dims));
}

bool conv_backward_data_by_image_pays(const Device& device, const ConvDims& dims) {
  return device.unit->executor == nullptr && !is_depthwise(dims) && dims.x_size() > 0 &&
         dims.stride == ConvDims::Axes{1, 1, 1} && ConvJob::image_by_image_pays(backward_correlation(dims, {}));
}

void conv_backward_data(const Device& device, const ConvDims& dims, std::span<const float> weight,
                        std::span<const float> dy, std::span<float> dx, const ImageSteps& steps) {
  if (!dx.empty()) device.unit->conv_backward_data(device, dims, weight.data(), dy.data(), dx.data(), steps);
}

void conv_backward_weights(const Device& device, const ConvDims& dims, std::span<const float> x,
                           std::span<const float> dy, std::span<float> dweight, std::span<float> dbias) {
  if (!dy.empty())
    device.unit->conv_backward_weights(device, dims, x.data(), dy.data(), or_null(dweight), or_null(dbias));
}

}  // namespace tapestry::kernels
