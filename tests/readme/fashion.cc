// The program that README.md shows; the test of documents compares the two, line for line.
#include <fmt/format.h>
#include <tapestry.h>

using namespace tapestry;

int main() {
  Context context{{.seed = 42}};
  const auto [train, test] = data::fashion_mnist();

  Sequential model = Input{28, 28, 1} >> Conv2d{{.out = 32, .kernel = 3}} >> GroupNorm{{.num_groups = 4}} >> Relu{} >>
                     MaxPool2d{2} >> Conv2d{{.out = 64, .kernel = 3}} >> GroupNorm{{.num_groups = 4}} >> Relu{} >>
                     MaxPool2d{2} >> Flatten{} >> Linear{{.out = 10}};
  model.build(context);                 // sizes flow through, [28, 28, 1] -> [26, 26, 32] -> ... -> [10]
  fmt::print("{}\n", model.summary());  // layers, shapes, parameters, cost

  AdamW optimizer{model.parameters(), {.lr = 1e-3}};
  for (int epoch = 1; epoch <= 3; ++epoch) {
    for (const auto& [images, labels] : train.batches(context, {.size = 128, .epoch = epoch})) {
      Tape tape{context};
      const Var loss = cross_entropy(model(tape.input(images), Mode::train), labels);
      optimizer.step(tape.backward(loss));
    }
    fmt::print("epoch {}  test accuracy {:.2f} %\n", epoch, 100 * accuracy(context, model, test));
  }
  io::save(model, "fashion.safetensors");  // under PyTorch's names
}
