// The table behind products and convolutions: Highway's kernels fill it, and a faster unit of the CPU overrides its
// entries. Arguments are those of kernels/matmul.h and kernels/conv.h; a nullptr is an empty span.
#pragma once

#include "kernels/device.h"
#include "kernels/dims.h"
#include "kernels/image_steps.h"

namespace tapestry::kernels {

struct MatrixUnit {
  const char* name;
  void (*matmul)(const Device&, const MatmulDims&, const float* a, const float* b, const float* bias, float* c);
  void (*conv_forward)(const Device&, const ConvDims&, const float* x, const float* weight, const float* bias, float* y,
                       const ImageSteps&);
  void (*conv_backward_data)(const Device&, const ConvDims&, const float* weight, const float* dy, float* dx,
                             const ImageSteps&);
  void (*conv_backward_weights)(const Device&, const ConvDims&, const float* x, const float* dy, float* dweight,
                                float* dbias);
};

// The unit that serves `target` at `precision` on this machine.
const MatrixUnit& matrix_unit(Target target, Precision precision);

// Highway's kernels, by fused multiply-adds.
namespace fma {
void matmul(const Device&, const MatmulDims&, const float* a, const float* b, const float* bias, float* c);
void conv_forward(const Device&, const ConvDims&, const float* x, const float* weight, const float* bias, float* y,
                  const ImageSteps&);
void conv_backward_data(const Device&, const ConvDims&, const float* weight, const float* dy, float* dx,
                        const ImageSteps&);
void conv_backward_weights(const Device&, const ConvDims&, const float* x, const float* dy, float* dweight,
                           float* dbias);
}  // namespace fma

}  // namespace tapestry::kernels
