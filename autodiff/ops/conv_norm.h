// A convolution and the norm behind it as one node, computed image by image; not part of the public interface.
#pragma once

#include "autodiff/ops/conv.h"
#include "kernels/dims.h"

namespace tapestry::detail {

// ShapeError or ArgumentError unless the norm fits y [N, ..., O], in x's type.
void check_image_norm(const char* op, const ImageNorm& norm, const Var& x, const Shape& y, const Location& where);

// activation(norm(z) + residual), as an op of its own.
Var norm_apart(const Var& z, const ImageNorm& norm, Activation activation, const Location& where);

// y = activation(norm(conv(x, weight) + bias) + residual) for sizes that were checked; y is empty.
Var conv_norm(const char* op, const kernels::ConvDims& dims, const Var& x, const Var& weight, const Var& bias,
              const ImageNorm& norm, Activation activation, Tensor y, const Location& where);

}  // namespace tapestry::detail
