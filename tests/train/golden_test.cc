// The same losses as PyTorch, and the same weights after them, from the same weights.
#include "tests/support/golden.h"
#include "autodiff/ops/loss.h"
#include "autodiff/tape.h"
#include "io/layout.h"
#include "io/model.h"
#include "io/safetensors.h"
#include "layers/activation.h"
#include "layers/batch_norm.h"
#include "layers/conv.h"
#include "layers/dialects/pytorch.h"
#include "layers/group_norm.h"
#include "layers/layer_norm.h"
#include "layers/linear.h"
#include "layers/models.h"
#include "layers/pool.h"
#include "layers/reshape.h"
#include "layers/sequential.h"
#include "layers/weight_norm.h"
#include "optim/sgd.h"
#include "tests/catch.h"
#include "tests/support/files.h"

using namespace tapestry;

namespace {

struct Golden {
  const char* name;
  Sequential model;
  double lr = 0.05;
};

Golden flattened() {
  return {"flatten", Input{4, 2, 3} >> Flatten{} >> LayerNorm{} >> PRelu{{.per_channel = true}} >> Identity{} >>
                         Linear{{.out = 9}} >> Relu{} >> Linear{{.out = 5}}};
}

Golden mlp() { return {"mlp", Input{3, 4, 1} >> Flatten{} >> Linear{{.out = 9}} >> Relu{} >> Linear{{.out = 5}}}; }

Golden mlp_ln() {
  return {"mlp_ln", Input{3, 4, 1} >> Flatten{} >> Linear{{.out = 17}} >> LayerNorm{} >> Gelu{} >> Linear{{.out = 8}} >>
                        LayerNorm{} >> Silu{} >> Linear{{.out = 5}}};
}

Golden flattened_bn() {
  return {"flatten_bn", Input{4, 2, 3} >> Flatten{} >> Relu{} >> pytorch::batch_norm1d() >> Linear{{.out = 5}}};
}

Golden neupy_gn() {
  return {"neupy_gn", Input{7, 6, 1} >> Conv2d{{.out = 8, .kernel = 3}} >> GroupNorm{{.num_groups = 4}} >> Relu{} >>
                          Conv2d{{.out = 8, .kernel = 3}} >> GroupNorm{{.num_groups = 4}} >> Relu{} >> Flatten{} >>
                          Linear{{.out = 5}}};
}

Golden mnist_bn() {
  return {"mnist_bn",
          Input{20, 24, 1} >> Conv2d{{.out = 4, .kernel = 5}} >> Relu{} >> Conv2d{{.out = 4, .kernel = 5}} >> Relu{} >>
              pytorch::batch_norm2d() >> MaxPool2d{2} >> Conv2d{{.out = 6, .kernel = 3}} >> Relu{} >>
              Conv2d{{.out = 6, .kernel = 3}} >> Relu{} >> pytorch::batch_norm2d() >> MaxPool2d{2} >> Flatten{} >>
              Linear{{.out = 5}},
          0.001};
}

Conv2d same(std::int64_t out) { return Conv2d{{.out = out, .kernel = 3, .padding = 1, .bias = false}}; }

template <class Norm>
Golden resnet9(const char* name, const Norm& norm) {
  return {name,
          Input{16, 8, 3} >> same(4) >> norm >> Relu{} >> same(4) >> norm >> Relu{} >> MaxPool2d{2} >>
              ResNetBlock<Norm>{same(4), same(4), norm, norm} >> same(6) >> norm >> Relu{} >> MaxPool2d{2} >> same(6) >>
              norm >> Relu{} >> MaxPool2d{2} >> ResNetBlock<Norm>{same(6), same(6), norm, norm} >>
              AdaptiveMaxPool2d{1} >> Flatten{} >> Linear{{.out = 5}},
          0.01};
}

Golden voxel_bn3d() {
  const auto same3d = [](std::int64_t out) { return Conv3d{{.out = out, .kernel = 3, .padding = 1, .bias = false}}; };
  return {"voxel_bn3d",
          Input{4, 8, 6, 1} >> same3d(4) >> pytorch::batch_norm3d() >> Relu{} >> MaxPool3d{2} >> same3d(4) >>
              pytorch::batch_norm3d() >> Relu{} >> MaxPool3d{2} >> same3d(6) >> pytorch::batch_norm3d() >> Relu{} >>
              AdaptiveAvgPool3d{1} >> Flatten{} >> Linear{{.out = 5}},
          0.01};
}

// PyTorch's weight_norm has no epsilon; its dim 1 of transposed convolutions is our default, its own default 0 our -1.
Golden weights() {
  constexpr double kNone = 1e-300;
  return {"weights",
          Input{5, 4, 2} >> WeightNorm{Conv2d{{.out = 4, .kernel = 3, .padding = 1}}, {.epsilon = kNone}} >> Relu{} >>
              SpectralNorm{Conv2d{{.out = 6, .kernel = {3, 2}, .bias = false}}} >> Relu{} >>
              WeightNorm{ConvTranspose2d{{.out = 4, .kernel = 2, .stride = 2, .groups = 2}}, {.epsilon = kNone}} >>
              Relu{} >> SpectralNorm{ConvTranspose2d{{.out = 3, .kernel = {2, 3}}}} >> Relu{} >>
              WeightNorm{ConvTranspose2d{{.out = 2, .kernel = 2}}, {.feature_axes = -1, .epsilon = kNone}} >>
              Flatten{} >> WeightNorm{Linear{{.out = 7}}, {.feature_axes = Axes{}, .epsilon = kNone}} >> Relu{} >>
              SpectralNorm{Linear{{.out = 6}}, {.power_iterations = 2}} >> Relu{} >>
              WeightNorm{Linear{{.out = 5}}, {.epsilon = kNone}},
          0.02};
}

// Trains 20 steps. The largest differences of our losses, and of the state in a saved file, from PyTorch's.
std::pair<double, double> differences(const Golden& golden, DType dtype) {
  Context context{{.threads = 2}};
  Sequential model = golden.model;
  const std::map<std::string, Tensor> arrays = test::golden_arrays(context, golden.name);
  std::vector<NamedTensor> weights;
  for (const auto& [name, array] : arrays)
    if (name.starts_with("param/"))
      weights.push_back({name.substr(6), array.dtype() == DType::int64 ? array : array.to(dtype)});
  const Tensor x = io::channels_last(arrays.at("x")).to(dtype);
  model.build(context, x.shape().drop_front(), dtype);
  io::load_tensors(model, weights, golden.name);
  SGD optimizer{
      model.parameters(),
      {.lr = golden.lr, .momentum = 0.9, .weight_decay = 1e-3, .nesterov = std::string_view(golden.name) == "mlp_ln"}};
  const Tensor expected = arrays.at("losses");
  Tensor losses = expected.like();
  for (double& found : losses.span<double>()) {
    Tape tape{context};
    const Var loss = cross_entropy(model(tape.input(x), Mode::train), arrays.at("y"), {.label_smoothing = 0.1});
    optimizer.step(tape.backward(loss));
    found = loss.item();
  }
  const test::TempDir folder;
  io::save(model, folder / "after");
  const io::Safetensors saved = io::load_safetensors(context, folder / "after");
  REQUIRE(saved.tensors.size() == weights.size());
  double state = 0;
  for (const NamedTensor& tensor : saved.tensors) {
    INFO(tensor.name);
    const double difference = test::largest_difference(tensor.value, arrays.at("after/" + tensor.name));
    if (!(difference <= state)) state = difference;  // a NaN too
    if (std::isnan(state)) break;
  }
  return {test::largest_difference(losses, expected), state};
}

}  // namespace

TEST_CASE("golden: 20 steps of small networks give PyTorch's losses, and files with its state") {
  for (const Golden& golden : {flattened(), flattened_bn(), mlp(), mlp_ln(), neupy_gn(), mnist_bn(),
                               resnet9("resnet9_bn", pytorch::batch_norm2d()),
                               resnet9("resnet9_gn", GroupNorm{{.num_groups = 2}}), voxel_bn3d(), weights()}) {
    INFO(golden.name);
    const auto [losses, state] = differences(golden, DType::float64);
    CHECK(losses < 1e-12);
    CHECK(state < 1e-11);
    const auto [losses32, state32] = differences(golden, DType::float32);
    CHECK(losses32 < 5e-6);
    CHECK(state32 < 1e-4);
  }
}
