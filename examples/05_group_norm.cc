// Two convolutions with group norm: the network of neupy's documentation of its GroupNorm layer.
#include "examples/program.h"

using namespace tapestry;

namespace {

int network(const example::Options& options) {
  Context context = example::make_context(options);
  const data::Split data = example::load(options);

  // Groups of channels are normalized for each image alone: it works with any batch, and the same way in evaluation.
  // Its softmax is within the loss: cross_entropy takes logits.
  Sequential model = Input{data.train.sample_shape()} >> Conv2d{{.out = 16, .kernel = 3}} >>
                     GroupNorm{{.num_groups = 4}} >> Relu{} >> Conv2d{{.out = 16, .kernel = 3}} >>
                     GroupNorm{{.num_groups = 4}} >> Relu{} >> Flatten{} >> Linear{{.out = data.train.num_classes()}};
  model.build(context);

  return example::train(context, model, data, options);
}

}  // namespace

int main(int argc, char** argv) {
  return example::run(argc, argv, "Trains two convolutions with group norm to tell images apart.",
                      {.epochs = 5, .batch_size = 64, .lr = 1e-3, .weight_decay = 0.05, .out = "runs/group_norm"},
                      network);
}
