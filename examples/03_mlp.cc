// A perceptron with two hidden layers and layer norm on Fashion-MNIST, or other images.
#include "examples/program.h"

using namespace tapestry;

namespace {

int perceptron(const example::Options& options) {
  Context context = example::make_context(options);
  const data::Split data = example::load(options);

  Sequential model = Input{data.train.sample_shape()} >> Flatten{} >> Linear{{.out = 256}} >> LayerNorm{} >> Relu{} >>
                     Linear{{.out = 128}} >> LayerNorm{} >> Relu{} >> Linear{{.out = data.train.num_classes()}};
  model.build(context);

  return example::train(context, model, data, options);
}

}  // namespace

int main(int argc, char** argv) {
  return example::run(argc, argv, "Trains a perceptron with layer norm to tell images apart.",
                      {.epochs = 10, .batch_size = 128, .lr = 2e-3, .weight_decay = 0.05, .out = "runs/mlp"},
                      perceptron);
}
