// Models by name, in one place for benchmarks, tests and programs.
#pragma once

#include <span>
#include <string_view>

#include "layers/activation.h"
#include "layers/conv.h"
#include "layers/fusion.h"
#include "layers/sequential.h"

namespace tapestry {

// y = relu(x + m(b(relu(n(a(x)))))): two convolutions that keep the shape, each with a norm (He et al. 2016).
template <class Norm>
struct ResNetBlock {
  Conv2d a, b;
  Norm n, m;

  void visit(Visitor& v) {
    v("a", a);
    v("n", n);
    v("b", b);
    v("m", m);
  }
  Var operator()(const Var& x, Mode mode) const {
    const Var h = chain(x, mode, a, n, Relu{});
    return chain(h, mode, b, m, Add{x}, Relu{});
  }
};

// A benchmark model, not yet built, and the batch with which it is timed.
struct NamedModel {
  Sequential model;
  Shape input;  // of one sample
  std::int64_t batch = 0;
};

// mlp:        [28,28,1] -> 256 -> 10 with ReLU; batch 64.
// mlp_ln:     [28,28,1] -> 512 -> 512 -> 10 with LayerNorm and ReLU; batch 128.
// neupy_gn:   [28,28,1], two convolutions of 16 channels with GroupNorm and ReLU, 9216 -> 10; batch 64.
// mnist_bn:   [28,28,1], twice two convolutions with ReLU, BatchNorm2d and MaxPool2d, 576 -> 10; batch 128.
// resnet9_bn: [32,32,3], a residual network of nine layers with BatchNorm2d; batch 64.
// resnet9_gn: the same with GroupNorm.
// voxel_bn3d: [16,28,28,1], three convolutions with BatchNorm3d and MaxPool3d, 64 -> 10; batch 16.
std::span<const std::string_view> model_names();

// ArgumentError, which lists the names, for an unknown one.
NamedModel make_model(std::string_view name);

}  // namespace tapestry
