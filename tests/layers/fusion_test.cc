// What Sequential and Residual compute in one pass gives what its parts give one after the other, and a context that is
// told not to fuse records each part.
#include "tests/layers/fusion_patterns.h"

#include "kernels/error.h"
#include "layers/activation.h"
#include "layers/linear.h"
#include "layers/models.h"
#include "layers/pool.h"
#include "layers/reshape.h"
#include "layers/residual.h"

using namespace tapestry;
using namespace tapestry::test::fusion;

TEST_CASE("Fusion: a convolution with its activation") {
  check({kConv >> Relu{}, {"conv2d"}, {"conv2d", "relu"}});
  check({Conv1d{{.out = 4, .kernel = 3}} >> Relu{}, {"conv1d"}, {"conv1d", "relu"}}, {9, 4});
  check({Conv3d{{.out = 4, .kernel = 2}} >> Relu{}, {"conv3d"}, {"conv3d", "relu"}}, {4, 3, 3, 2});
  const Conv2d own{{.out = 4, .kernel = 3, .activation = Activation::relu}};
  check({own >> Flatten{}, {"conv2d", "reshape"}, {"conv2d", "relu", "reshape"}});
  check({own >> Relu{}, {"conv2d", "relu"}, {"conv2d", "relu", "relu"}});
}

TEST_CASE("Fusion: what no op computes with its neighbours is an op of its own") {
  const auto apart = [](const Sequential& model, const Names& ops, const Shape& input = {6, 6, 4}) {
    check({model, ops, ops}, input);
  };
  apart(kConv >> Gelu{}, {"conv2d", "gelu"});
  apart(kConv >> MaxPool2d{2}, {"conv2d", "max_pool2d"});
  apart(Sequential{} >> Residual{kConv} >> Silu{}, {"conv2d", "add", "silu"});
  apart(Linear{{.out = 5}} >> Relu{}, {"linear", "relu"}, {7});
  apart(ConvTranspose2d{{.out = 3, .kernel = 2}} >> Relu{}, {"conv_transpose2d", "relu"});
  apart(Relu{} >> Relu{}, {"relu", "relu"});
  apart(kBare >> BatchNorm2d{{.activation = Activation::tanh}} >> Relu{}, {"conv2d", "batch_norm", "tanh", "relu"});
  apart(Sequential{} >> Residual{kBare >> BatchNorm2d{{.activation = Activation::silu}}} >> Relu{},
        {"conv2d", "batch_norm", "silu", "add", "relu"});
}

TEST_CASE("Fusion: the residual block of the benchmark models") {
  for (const bool group : {true, false}) {
    const std::string op = group ? "group_norm" : "batch_norm";
    const Sequential block = group ? Sequential{} >> ResNetBlock<GroupNorm>{kBare, kBare, kGroupNorm, kGroupNorm}
                                   : Sequential{} >> ResNetBlock<BatchNorm2d>{kBare, kBare, kBatchNorm, kBatchNorm};
    check({block, {"conv2d", op, "conv2d", op}, {"conv2d", op, "relu", "conv2d", op, "add", "relu"}});
  }
}

TEST_CASE("Fusion: a norm with its activation, and with the sum behind it") {
  const auto with = [](const auto& norm, const std::string& op, Mode mode = Mode::train) {
    check({kBare >> norm >> Relu{} >> Silu{}, {"conv2d", op, "silu"}, {"conv2d", op, "relu", "silu"}, mode});
    check({Sequential{} >> Residual{kBare >> norm}, {"conv2d", op}, {"conv2d", op, "add"}, mode});
    check({Sequential{} >> Residual{kBare >> norm} >> Relu{}, {"conv2d", op}, {"conv2d", op, "add", "relu"}, mode});
    check({Sequential{} >> Residual{kBare >> norm, kBare} >> Relu{} >> Silu{},
           {"conv2d", "conv2d", op, "silu"},
           {"conv2d", "conv2d", op, "add", "relu", "silu"},
           mode});
  };
  with(kBatchNorm, "batch_norm");
  with(kBatchNorm, "batch_norm", Mode::eval);
  with(kGroupNorm, "group_norm");
  with(kInstanceNorm, "instance_norm");
  with(kLayerNorm, "layer_norm");
  with(RMSNorm{{.weight_init = kWide}}, "rms_norm");
  const BatchNorm2d own{{.activation = Activation::relu}};
  check({Sequential{} >> own, {"batch_norm"}, {"batch_norm", "relu"}});
  check({own >> MaxPool2d{2}, {"batch_norm"}, {"batch_norm", "relu", "max_pool2d"}});
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
