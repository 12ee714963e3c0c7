// Passes through layers around others, models within models, and blocks with named members; what changes them.
#include "tests/layers/fusion_patterns.h"

#include "kernels/error.h"
#include "layers/activation.h"
#include "layers/batch_norm.h"
#include "layers/layer_norm.h"
#include "layers/linear.h"
#include "layers/pool.h"
#include "layers/reshape.h"
#include "layers/residual.h"
#include "layers/weight_norm.h"

using namespace tapestry;
using namespace tapestry::test::fusion;

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
  Context context{{.threads = 1}};
  const Var x = context.input(context.zeros({2, 3})), one = context.input(context.zeros({2, 1}));
  REQUIRE_THROWS_AS(chain(x, Mode::eval, Identity{}, Add{one}), ShapeError);
  REQUIRE_THROWS_WITH(chain(x, Mode::eval, Identity{}, Add{one}),
                      contains("fusion_blocks_test.cc:") &&
                          contains("Add: the shortcut is [2, 1], it is added to [2, 3]; both must be equal"));
  Conv2d conv{{.out = 3, .kernel = 1}};
  build(context, conv, Shape{4, 4, 3});
  REQUIRE_THROWS_WITH(conv(context.input(context.zeros({2, 4, 4, 3})), {.residual = one}),
                      contains("fusion_blocks_test.cc:") && contains("it is added to [2, 4, 4, 3]"));
  BatchNorm1d norm{{.in_size = {4, 6}}};
  build(context, norm);
  for (const bool fuse : {true, false}) {
    const Context other{{.threads = 1, .fuse = fuse}};
    const Var sample = other.input(other.zeros({4, 6}));
    for (const Shape& wrong : {Shape{6, 4}, Shape{1, 4, 6}, Shape{3}})
      REQUIRE_THROWS_AS(chain(sample, Mode::eval, norm, Add{other.input(other.zeros(wrong))}), ShapeError);
    CHECK(chain(sample, Mode::eval, norm, Add{sample}).shape() == sample.shape());
  }
}

TEST_CASE("Fusion: what is added takes the type of what it is added to") {
  for (const bool fuse : {true, false}) {
    const Context context{{.threads = 1, .fuse = fuse}};
    const Var x = context.input(context.normal({6, 4}, 0, 1, 1)), wide = context.input(x.value().to(DType::float64));
    const LayerNorm norm{{.elementwise_affine = false}};
    CHECK(chain(x, Mode::eval, norm, Add{wide}).dtype() == DType::float32);
    CHECK(chain(wide, Mode::eval, norm, Add{x}).dtype() == DType::float64);
    CHECK(chain(wide, Mode::eval, Identity{}, Add{x}).dtype() == DType::float64);
  }
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
