// A residual network of nine layers. Models are values: functions make the parts, and >> puts them together.
#include "examples/program.h"

using namespace tapestry;

namespace {

Sequential convolution(std::int64_t out) {
  return Conv2d{{.out = out, .kernel = 3, .padding = 1, .bias = false}} >> pytorch::batch_norm2d() >> Relu{};
}

// x -> relu(x + body(x)). The sum and the ReLU behind it become part of the norm that the body ends with.
Sequential residual(std::int64_t channels) {
  return Residual{convolution(channels) >> Conv2d{{.out = channels, .kernel = 3, .padding = 1, .bias = false}} >>
                  pytorch::batch_norm2d()} >>
         Relu{};
}

int resnet9(const example::Options& options) {
  Context context = example::make_context(options);
  const data::Split data = example::load(options);

  Sequential model = Input{data.train.sample_shape()} >> convolution(32) >> convolution(64) >> MaxPool2d{2} >>
                     residual(64) >> convolution(128) >> MaxPool2d{2} >> convolution(128) >> MaxPool2d{2} >>
                     residual(128) >> GlobalMaxPool{} >> Linear{{.out = data.train.num_classes()}};
  model.build(context);

  return example::train(context, model, data, options);
}

}  // namespace

int main(int argc, char** argv) {
  return example::run(
      argc, argv, "Trains a residual network to tell images apart.",
      {.epochs = 5, .batch_size = 128, .lr = 2e-3, .weight_decay = 0.1, .label_smoothing = 0.1, .out = "runs/resnet9"},
      resnet9);
}
