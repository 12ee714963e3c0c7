// The table behind products and convolutions: Highway's kernels fill it, and a faster unit of the CPU overrides its
// entries. Arguments are those of kernels/matmul.h and kernels/conv.h; a nullptr is an empty span.
#pragma once

#include <cstddef>
#include <string_view>

#include "kernels/device.h"
#include "kernels/reference/conv.h"
#include "kernels/reference/matmul.h"

namespace tapestry::kernels {

struct TileExecutor;

struct MatrixUnit {
  const char* name;
  void (*matmul)(const Device&, const MatmulDims&, const float* a, const float* b, const float* bias, float* c);
  void (*conv_forward)(const Device&, const ConvDims&, const float* x, const float* weight, const float* bias,
                       float* y);
  void (*conv_backward_data)(const Device&, const ConvDims&, const float* weight, const float* dy, float* dx);
  void (*conv_backward_weights)(const Device&, const ConvDims&, const float* x, const float* dy, float* dweight,
                                float* dbias);
  // Of units of tiles: what computes them, the bf16 terms of a float, and the multiply-adds below which a product is
  // left to Highway; 0 leaves it none that tiles can compute.
  const TileExecutor* executor = nullptr;
  std::size_t terms = 0, least_products = 0;
};

// The unit that serves `target` at `precision` on this machine.
const MatrixUnit& matrix_unit(Target target, Precision precision);

// A unit whose tiles `executor` computes, for each product and convolution of at least so many multiply-adds.
MatrixUnit tile_unit(const TileExecutor& executor, Precision precision, std::size_t least_products);

// Highway's kernels, by fused multiply-adds.
namespace fma {
void matmul(const Device&, const MatmulDims&, const float* a, const float* b, const float* bias, float* c);
void conv_forward(const Device&, const ConvDims&, const float* x, const float* weight, const float* bias, float* y);
void conv_backward_data(const Device&, const ConvDims&, const float* weight, const float* dy, float* dx);
void conv_backward_weights(const Device&, const ConvDims&, const float* x, const float* dy, float* dweight,
                           float* dbias);
}  // namespace fma

// Tells the device's meter, where there is one, of multiply-adds by the device's unit, `tiles` tiles side by side.
void tell_tiles(const Device&, std::string_view form, std::size_t tiles, std::size_t multiply_adds);

// Tiles of bf16, of which a float is a sum; what they do not serve goes on to `fma`, so does what is not finite.
namespace tiles {
void matmul(const Device&, const MatmulDims&, const float* a, const float* b, const float* bias, float* c);
void conv_forward(const Device&, const ConvDims&, const float* x, const float* weight, const float* bias, float* y);
void conv_backward_data(const Device&, const ConvDims&, const float* weight, const float* dy, float* dx);
void conv_backward_weights(const Device&, const ConvDims&, const float* x, const float* dy, float* dweight,
                           float* dbias);
}  // namespace tiles

}  // namespace tapestry::kernels
