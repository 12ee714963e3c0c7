// A perceptron with two hidden layers and layer norm on Fashion-MNIST, or MNIST: `scripts/train` runs it.
#include "examples/program.h"

using namespace tapestry;

int main(int argc, char** argv) {
  const example::Options defaults{.epochs = 10, .batch_size = 128, .lr = 2e-3, .weight_decay = 0.05, .out = "runs/mlp"};
  return example::run(argc, argv, "Trains a perceptron with layer norm to tell images of 10 kinds.", defaults,
                      [](const example::Options& options) {
                        Context context = example::make_context(options);
                        const data::Split data = example::load(options);

                        const auto activate = [](const Var& x) { return relu(x); };  // any function of a Var is a layer
                        Sequential model = Input{28, 28, 1} >> Flatten{} >> Linear{{.out = 256}} >> LayerNorm{} >>
                                           activate >> Linear{{.out = 128}} >> LayerNorm{} >> activate >>
                                           Linear{{.out = 10}};
                        model.build(context);

                        return example::train(context, model, data, options);
                      });
}
