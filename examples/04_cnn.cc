// A convolutional network with group norm on Fashion-MNIST, or other images: `scripts/train` runs it.
#include "examples/program.h"

using namespace tapestry;

namespace {

int cnn(const example::Options& options) {
  Context context = example::make_context(options);
  const data::Split data = example::load(options);

  Sequential model = Input{data.train.sample_shape()} >> Conv2d{{.out = 32, .kernel = 3}} >>
                     GroupNorm{{.num_groups = 4}} >> Relu{} >> MaxPool2d{2} >> Conv2d{{.out = 64, .kernel = 3}} >>
                     GroupNorm{{.num_groups = 4}} >> Relu{} >> MaxPool2d{2} >> Flatten{} >>
                     Linear{{.out = data.train.num_classes()}};
  model.build(context);

  return example::train(context, model, data, options);
}

}  // namespace

int main(int argc, char** argv) {
  return example::run(
      argc, argv, "Trains a convolutional network to tell images apart.",
      {.epochs = 12, .batch_size = 64, .lr = 2e-3, .weight_decay = 0.1, .label_smoothing = 0.05, .out = "runs/cnn"},
      cnn);
}
