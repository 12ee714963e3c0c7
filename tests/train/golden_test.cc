// The same losses as PyTorch, from the same weights: tests/golden/make_golden.py makes the files.
#include "autodiff/ops/loss.h"
#include "autodiff/tape.h"
#include "io/model.h"
#include "io/npz.h"
#include "layers/activation.h"
#include "layers/linear.h"
#include "layers/norm.h"
#include "layers/reshape.h"
#include "layers/sequential.h"
#include "optim/sgd.h"
#include "tests/catch.h"

using namespace tapestry;

namespace {

Sequential golden_model(const std::string& name) {
  Sequential model = Input{3, 4, 1} >> Flatten{} >> Linear{{.out = 9}} >> Relu{} >> Linear{{.out = 5}};
  if (name == "mlp_ln")
    model = Input{3, 4, 1} >> Flatten{} >> Linear{{.out = 17}} >> LayerNorm{} >> Gelu{} >> Linear{{.out = 8}} >>
            LayerNorm{} >> Silu{} >> Linear{{.out = 5}};
  return model;
}

// Set by meson test; a program that is run by hand from the root of the tree finds the files too.
std::string golden_folder() {
  const char* folder = std::getenv("TAPESTRY_GOLDEN");
  return folder == nullptr ? "tests/golden" : folder;
}

// The largest difference between our 20 losses and PyTorch's.
double difference(const std::string& name, DType dtype) {
  Context context{{.threads = 2}};
  Sequential model = golden_model(name);
  model.build(context, {3, 4, 1}, dtype);
  std::vector<NamedTensor> weights;
  std::map<std::string, Tensor> arrays;
  for (const NamedTensor& array : io::load_npz(context, golden_folder() + "/" + name + ".npz")) {
    arrays[array.name] = array.value;
    if (array.name.starts_with("param/")) weights.push_back({array.name.substr(6), array.value.to(dtype)});
  }
  io::load_tensors(model, weights, name);
  SGD optimizer{model.parameters(), {.lr = 0.05, .momentum = 0.9, .weight_decay = 1e-3, .nesterov = name == "mlp_ln"}};
  const Tensor x = arrays.at("x").reshape({7, 3, 4, 1}).to(dtype);  // one channel: channels first and last are the same
  double worst = 0;
  for (double expected : std::as_const(arrays.at("losses")).span<double>()) {
    Tape tape{context};
    const Var loss = cross_entropy(model(tape.input(x), Mode::train), arrays.at("y"), {.label_smoothing = 0.1});
    optimizer.step(tape.backward(loss));
    worst = std::max(worst, std::abs(loss.item() - expected));
  }
  return worst;
}

}  // namespace

TEST_CASE("golden: 20 steps of small networks give PyTorch's losses") {
  for (const char* name : {"mlp", "mlp_ln"}) {
    INFO(name);
    REQUIRE(difference(name, DType::float64) < 1e-12);
    REQUIRE(difference(name, DType::float32) < 2e-6);
  }
}
