// A perceptron with two hidden layers and layer norm on Fashion-MNIST, or MNIST.
#include "examples/program.h"

using namespace tapestry;

namespace {

int perceptron(const example::Options& options) {
  Context context = example::make_context(options);
  const data::Split data = example::load(options);

  Sequential model = Input{28, 28, 1} >> Flatten{} >> Linear{{.out = 256}} >> LayerNorm{} >> Relu{} >>
                     Linear{{.out = 128}} >> LayerNorm{} >> Relu{} >> Linear{{.out = 10}};
  model.build(context);

  return example::train(context, model, data, options);
}

}  // namespace

int main(int argc, char** argv) {
  return example::run(argc, argv, "Trains a perceptron with layer norm to tell images of 10 kinds.",
                      {.epochs = 10, .batch_size = 128, .lr = 2e-3, .weight_decay = 0.05, .out = "runs/mlp"},
                      perceptron);
}
