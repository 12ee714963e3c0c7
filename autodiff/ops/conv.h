// Convolutions (cross-correlations, as everywhere in deep learning) of channels-last images, and their transposes.
#pragma once

#include "autodiff/ops/activation.h"
#include "autodiff/ops/window.h"
#include "autodiff/var.h"

namespace tapestry {

template <int Axes>
struct ConvOptions {
  Sizes<Axes> stride = 1;
  PaddingSizes<Axes> padding = 0;  // Padding::same needs stride 1
  Sizes<Axes> dilation = 1;
  std::int64_t groups = 1;  // group g of the outputs sees group g of the channels
  Activation activation = Activation::none;
  Location where = std::source_location::current();
};

// y[n, p, o] = activation(bias[o] + sum over taps t and channels c of x[n, p stride - padding + t dilation, c]
// weight[t, c, o]) for x [N, in, C], weight [kernel, C/groups, O] and bias [O], or an empty Var; what lies outside x is
// zero (torch.nn.functional.conv2d). Saves x and weight, and y where relu is applied. ShapeError when shapes do not
// fit, ArgumentError for numbers out of range.
Var conv1d(const Var& x, const Var& weight, const Var& bias = {}, const ConvOptions<1>& options = {});
Var conv2d(const Var& x, const Var& weight, const Var& bias = {}, const ConvOptions<2>& options = {});
Var conv3d(const Var& x, const Var& weight, const Var& bias = {}, const ConvOptions<3>& options = {});

template <int Axes>
struct ConvTransposeOptions {
  Sizes<Axes> stride = 1;
  Sizes<Axes> padding = 0;         // positions that y lacks on both sides
  Sizes<Axes> output_padding = 0;  // positions that y has more behind, fewer than stride or dilation
  Sizes<Axes> dilation = 1;
  std::int64_t groups = 1;
  Activation activation = Activation::none;
  Location where = std::source_location::current();
};

// The transpose of a convolution: y[n, q, o] = activation(bias[o] + the sum over the p, t and i with
// p stride - padding + t dilation = q of x[n, p, i] weight[t, o, i]) for x [N, in, I], weight [kernel, O/groups, I] and
// bias [O], or an empty Var. y has (in - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1 positions
// on each axis (torch.nn.functional.conv_transpose2d). Saves x and weight. Errors as above.
Var conv_transpose1d(const Var& x, const Var& weight, const Var& bias = {},
                     const ConvTransposeOptions<1>& options = {});
Var conv_transpose2d(const Var& x, const Var& weight, const Var& bias = {},
                     const ConvTransposeOptions<2>& options = {});
Var conv_transpose3d(const Var& x, const Var& weight, const Var& bias = {},
                     const ConvTransposeOptions<3>& options = {});

}  // namespace tapestry
