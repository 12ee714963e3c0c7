// What Sequential, Residual and chain() compute in one pass gives what its parts give one after the other, and a
// context that is told not to fuse records each part.
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
                         if (!event.backward) out.ops.emplace_back(event.op.name);
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

TEST_CASE("Fusion: a model within a model takes what follows its last pass") {
  check({Sequential{} >> (kBare >> kBatchNorm) >> Relu{} >> MaxPool2d{2},
         {"conv2d", "batch_norm"},
         {"conv2d", "batch_norm", "relu", "max_pool2d"}});
  check({Sequential{} >> (kBare >> kGroupNorm >> Relu{}) >> MaxPool2d{2},
         {"conv2d", "group_norm"},
         {"conv2d", "group_norm", "relu", "max_pool2d"}});
  check({Sequential{} >> (kBare >> kLayerNorm) >> Relu{} >> MaxPool2d{2},
         {"conv2d", "layer_norm", "max_pool2d"},
         {"conv2d", "layer_norm", "relu", "max_pool2d"}});
  check({Sequential{} >> (kConv >> Relu{}) >> Relu{}, {"conv2d", "relu"}, {"conv2d", "relu", "relu"}});
  check({Sequential{} >> Residual{Sequential{} >> Residual{kBare >> kGroupNorm}} >> Relu{},
         {"conv2d", "group_norm", "add", "relu"},
         {"conv2d", "group_norm", "add", "add", "relu"}});
}

TEST_CASE("Fusion: layers around a convolution are in a pass what it is") {
  const auto through = [](const Sequential& around, const Names& weight) {
    const auto ops = [&](const Names& behind) {
      Names all = weight;
      all.insert(all.end(), behind.begin(), behind.end());
      return all;
    };
    check({around >> Relu{}, ops({"conv2d"}), ops({"conv2d", "relu"})});
    check({around >> kGroupNorm >> Relu{} >> MaxPool2d{2}, ops({"conv2d", "group_norm"}),
           ops({"conv2d", "group_norm", "relu", "max_pool2d"})});
    check({Sequential{} >> Residual{around >> kBatchNorm} >> Relu{}, ops({"conv2d", "batch_norm"}),
           ops({"conv2d", "batch_norm", "add", "relu"})});
    check({Sequential{} >> around >> Relu{} >> kInstanceNorm, ops({"conv2d", "instance_norm"}),
           ops({"conv2d", "relu", "instance_norm"})});
  };
  through(Sequential{} >> WeightNorm{kConv}, {"reshape", "weight_norm"});
  through(Sequential{} >> WeightStandardization{kConv}, {"weight_standardization"});
  through(Sequential{} >> SpectralNorm{kConv}, {"spectral_norm"});
  check({WeightNorm{Linear{{.out = 3}}} >> Relu{},
         {"reshape", "weight_norm", "linear", "relu"},
         {"reshape", "weight_norm", "linear", "relu"}},
        {7});
}

namespace {

// Two convolutions with a norm of any kind, as a user writes them.
template <class First, class Norm>
struct TwoConvolutions {
  First a;
  Norm n;
  Conv2d b = kBare;
  Norm m = n;

  void visit(Visitor& v) {
    v("a", a);
    v("n", n);
    v("b", b);
    v("m", m);
  }
  Var operator()(const Var& x, Mode mode) {
    const Var h = chain(x, mode, a, n, Relu{}, MaxPool2d{2});
    return chain(h, mode, b, m, Add{h}, Relu{});
  }
};

struct Plain {
  Conv2d a = kConv;
  void visit(Visitor& v) { v("a", a); }
  Var operator()(const Var& x) const { return chain(x, Mode::eval, a, Relu{}, Add{x}, Relu{}, Identity{}); }
};

}  // namespace

TEST_CASE("Fusion: blocks with named members run in the same passes") {
  const auto block = [](const auto& first, const auto& norm, const std::string& op, Names weight = {}) {
    Names fused = weight, parts = weight;
    for (const std::string& name : {std::string("conv2d"), op, std::string("conv2d"), op}) fused.push_back(name);
    for (const std::string& name : {std::string("conv2d"), op, std::string("relu"), std::string("max_pool2d"),
                                    std::string("conv2d"), op, std::string("add"), std::string("relu")})
      parts.push_back(name);
    check({Sequential{} >>
               TwoConvolutions<std::remove_cvref_t<decltype(first)>, std::remove_cvref_t<decltype(norm)>>{first, norm},
           fused, parts});
  };
  block(kConv, kBatchNorm, "batch_norm");
  block(kBare, kGroupNorm, "group_norm");
  block(kBare, kInstanceNorm, "instance_norm");
  block(WeightNorm{kConv}, kGroupNorm, "group_norm", {"reshape", "weight_norm"});
  check({Sequential{} >> Plain{}, {"conv2d", "add", "relu"}, {"conv2d", "relu", "add", "relu"}});
}

TEST_CASE("Fusion: what is added has the shape of what it is added to") {
  const Context context{{.threads = 1}};
  const Var x = context.input(context.zeros({2, 3})), one = context.input(context.zeros({2, 1}));
  REQUIRE_THROWS_AS(chain(x, Mode::eval, Identity{}, Add{one}), ShapeError);
  REQUIRE_THROWS_WITH(chain(x, Mode::eval, Identity{}, Add{one}),
                      contains("fusion_test.cc:") &&
                          contains("Add: the shortcut is [2, 1], it is added to [2, 3]; both must be equal"));
}

TEST_CASE("Fusion: options that are changed later decide") {
  Sequential model = kBare >> kBatchNorm >> Relu{} >> MaxPool2d{2};
  const Names fused{"conv2d", "batch_norm"}, parts{"conv2d", "batch_norm", "relu", "max_pool2d"};
  check({model, fused, parts});
  model.get<MaxPool2d>(3).options.stride = 1;
  check({model, {"conv2d", "batch_norm", "max_pool2d"}, parts});
  model.get<BatchNorm2d>(1).options.activation = Activation::silu;
  check({model,
         {"conv2d", "batch_norm", "silu", "relu", "max_pool2d"},
         {"conv2d", "batch_norm", "silu", "relu", "max_pool2d"}});
}

TEST_CASE("Fusion: a context that does not fuse tells each part's layer") {
  std::vector<std::string> layers;
  Context context{
      {.threads = 1, .trace = [&](const TraceEvent& event) { layers.emplace_back(event.where.layer); }, .fuse = false}};
  Sequential model = Input{6, 6, 4} >> kBare >> kGroupNorm >> Relu{} >> MaxPool2d{2};
  model.build(context);
  Tape tape{context};
  model(tape.input(context.zeros({1, 6, 6, 4})), Mode::train);
  REQUIRE(layers == Names{"0", "1", "2", "3"});
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
