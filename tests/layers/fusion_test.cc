// What Sequential and Residual compute in one pass gives what its parts give one after the other, and a context that is
// told not to fuse records each part.
#include <algorithm>
#include <cmath>
#include <map>

#include "autodiff/tape.h"
#include "kernels/error.h"
#include "layers/activation.h"
#include "layers/batch_norm.h"
#include "layers/conv.h"
#include "layers/group_norm.h"
#include "layers/instance_norm.h"
#include "layers/layer_norm.h"
#include "layers/linear.h"
#include "layers/models.h"
#include "layers/pool.h"
#include "layers/reshape.h"
#include "layers/residual.h"
#include "layers/sequential.h"
#include "layers/weight_norm.h"
#include "tests/catch.h"

using namespace tapestry;

namespace {

using Names = std::vector<std::string>;

struct Outcome {
  Names ops;                    // of the forward pass, as they were recorded
  std::vector<double> numbers;  // y, dx, the gradients of the parameters, and the buffers after the step
};

void append(std::vector<double>& to, const Tensor& from) {
  if (from.dtype() == DType::int64) return;
  visit_floating("append", from.dtype(), [&]<class T>(T) {
    for (T value : from.span<T>()) to.push_back(static_cast<double>(value));
  });
}

Outcome run(Sequential model, const Shape& input, Mode mode, DType dtype, bool fuse) {
  Outcome out;
  Context context{{.threads = 1,
                   .seed = 5,
                   .trace =
                       [&](const TraceEvent& event) {
                         if (!event.backward) out.ops.emplace_back(event.op);
                       },
                   .fuse = fuse}};
  model.build(context, input, dtype);
  Tape tape{context};
  const Var x = tape.variable(context.uniform(input.prepend(5), -1, 1, 1, dtype));
  const Var y = model(x, mode);
  append(out.numbers, y.value());
  const Gradients gradients = tape.backward(y, context.uniform(y.shape(), -1, 1, 2, dtype));
  append(out.numbers, gradients[x]);
  std::map<std::string, Tensor> by_name;  // fused parts may be used in another order
  for (const ParameterGradient& entry : gradients.parameters()) by_name[entry.parameter.name()] = entry.gradient;
  for (const auto& [name, gradient] : by_name) append(out.numbers, gradient);
  tape.commit();
  for (const StateEntry& entry : model.state())
    if (entry.is_buffer) append(out.numbers, entry.value());
  return out;
}

void require_close(const std::vector<double>& a, const std::vector<double>& b, double tolerance) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (double value : b) largest = std::max(largest, std::abs(value));
  for (std::size_t i = 0; i < a.size(); ++i) {
    INFO("number " << i << ": " << a[i] << " and " << b[i]);
    REQUIRE(std::abs(a[i] - b[i]) <= tolerance * largest);
  }
}

struct Pattern {
  Sequential model;
  Names fused, parts;
  Mode mode = Mode::train;
};

void check(const Pattern& p, const Shape& input = {6, 6, 4}) {
  for (DType dtype : {DType::float64, DType::float32}) {
    const Outcome fused = run(p.model, input, p.mode, dtype, true);
    const Outcome parts = run(p.model, input, p.mode, dtype, false);
    REQUIRE(fused.ops == p.fused);
    REQUIRE(parts.ops == p.parts);
    require_close(fused.numbers, parts.numbers, dtype == DType::float64 ? 1e-13 : 3e-6);
  }
}

const Initializer kWide = Uniform{-2, 2};
const BatchNorm2d kBatchNorm{{.momentum = 0.5, .weight_init = kWide, .bias_init = kWide}};
const GroupNorm kGroupNorm{{.num_groups = 2, .weight_init = kWide, .bias_init = kWide}};
const LayerNorm kLayerNorm{{.weight_init = kWide, .bias_init = kWide}};
const InstanceNorm2d kInstanceNorm{{.weight_init = kWide, .bias_init = kWide}};
const Conv2d kBare{{.out = 4, .kernel = 3, .padding = 1, .bias = false}};
const Conv2d kConv{{.out = 4, .kernel = 3, .padding = 1, .bias_init = kWide}};

}  // namespace

TEST_CASE("Fusion: a convolution with its activation") {
  check({kConv >> Relu{}, {"conv2d"}, {"conv2d", "relu"}});
  const Conv2d own{{.out = 4, .kernel = 3, .activation = Activation::relu}};
  check({own >> Flatten{}, {"conv2d", "reshape"}, {"conv2d", "relu", "reshape"}});
  check({kConv >> Gelu{}, {"conv2d", "gelu"}, {"conv2d", "gelu"}});
}

TEST_CASE("Fusion: the residual block of the benchmark models") {
  check({Sequential{} >> ResNetBlock<GroupNorm>{kBare, kBare, kGroupNorm, kGroupNorm},
         {"conv2d", "group_norm", "conv2d", "group_norm"},
         {"conv2d", "group_norm", "relu", "conv2d", "group_norm", "add", "relu"}});
  check({Sequential{} >> ResNetBlock<BatchNorm2d>{kBare, kBare, kBatchNorm, kBatchNorm},
         {"conv2d", "batch_norm", "conv2d", "batch_norm"},
         {"conv2d", "batch_norm", "relu", "conv2d", "batch_norm", "add", "relu"}});
}

TEST_CASE("Fusion: a norm with its activation, and with the sum behind it") {
  check({kBare >> kBatchNorm >> Relu{}, {"conv2d", "batch_norm"}, {"conv2d", "batch_norm", "relu"}});
  check({Silu{} >> kGroupNorm >> Relu{}, {"silu", "group_norm"}, {"silu", "group_norm", "relu"}});
  check({kConv >> kInstanceNorm >> Relu{} >> Flatten{},
         {"conv2d", "instance_norm", "reshape"},
         {"conv2d", "instance_norm", "relu", "reshape"}});
  check({Silu{} >> kLayerNorm >> Relu{}, {"silu", "layer_norm"}, {"silu", "layer_norm", "relu"}});
  const BatchNorm2d own{{.activation = Activation::relu}};
  check({Sequential{} >> own, {"batch_norm"}, {"batch_norm", "relu"}});
  check({Sequential{} >> Residual{kBare >> kBatchNorm} >> Relu{},
         {"conv2d", "batch_norm"},
         {"conv2d", "batch_norm", "add", "relu"}});
  check({Sequential{} >> Residual{Silu{} >> kGroupNorm} >> Relu{},
         {"silu", "group_norm"},
         {"silu", "group_norm", "add", "relu"}});
}

TEST_CASE("Fusion: a norm with its activation and the max pooling behind it") {
  const auto pooled = [](const auto& norm, const std::string& op, Mode mode = Mode::train) {
    check({Sequential{} >> norm >> Relu{} >> MaxPool2d{2}, {op}, {op, "relu", "max_pool2d"}, mode});
    check({Sequential{} >> norm >> MaxPool2d{{.kernel = {2, 3}, .stride = {2, 3}}}, {op}, {op, "max_pool2d"}, mode});
  };
  pooled(kBatchNorm, "batch_norm");
  pooled(kBatchNorm, "batch_norm", Mode::eval);
  pooled(kGroupNorm, "group_norm");
  pooled(kInstanceNorm, "instance_norm");
  check({kConv >> kBatchNorm >> Relu{} >> MaxPool2d{3} >> kConv,
         {"conv2d", "batch_norm", "conv2d"},
         {"conv2d", "batch_norm", "relu", "max_pool2d", "conv2d"}});
}

TEST_CASE("Fusion: a model within a model hands the pooling on, whatever its last layer is fused with") {
  for (const Sequential& inner :
       {kBare >> kBatchNorm, kBare >> kGroupNorm, kBare >> kLayerNorm, kConv >> kInstanceNorm}) {
    const Sequential model = Sequential{} >> inner >> Relu{} >> MaxPool2d{2};
    const Outcome fused = run(model, {8, 8, 4}, Mode::train, DType::float64, true);
    require_close(fused.numbers, run(model, {8, 8, 4}, Mode::train, DType::float64, false).numbers, 1e-13);
  }
}

TEST_CASE("Fusion: other poolings are ops of their own") {
  const Names fused{"conv2d", "batch_norm", "max_pool2d"}, parts{"conv2d", "batch_norm", "relu", "max_pool2d"};
  check({kBare >> kBatchNorm >> Relu{} >> MaxPool2d{4}, fused, parts});
  check({kBare >> kBatchNorm >> Relu{} >> MaxPool2d{{.kernel = 3, .stride = 1}}, fused, parts});
  check({kBare >> kBatchNorm >> Relu{} >> MaxPool2d{{.kernel = 2, .padding = 1}}, fused, parts});
  const Names smooth{"conv2d", "batch_norm", "silu", "max_pool2d"};
  check({kBare >> kBatchNorm >> Silu{} >> MaxPool2d{2}, smooth, smooth});
  check({Sequential{} >> Residual{kBare >> kBatchNorm} >> Relu{} >> MaxPool2d{2},
         fused,
         {"conv2d", "batch_norm", "add", "relu", "max_pool2d"}});
  Context context{{.threads = 1}};
  Sequential model = Input{6, 6, 4} >> kBatchNorm >> MaxPool2d{7};
  REQUIRE_THROWS_AS(model.build(context), ShapeError);
}
