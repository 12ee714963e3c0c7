// The smallest training program: one step of a perceptron on data that are drawn. Its time from start to end is what a
// program needs before it trains, its size what the library adds to a program (bench/step_costs).
#include "autodiff/ops/loss.h"
#include "autodiff/tape.h"
#include "layers/activation.h"
#include "layers/linear.h"
#include "layers/reshape.h"
#include "layers/sequential.h"
#include "optim/sgd.h"

using namespace tapestry;

int main() {
  Context context;
  Sequential model = Input{28, 28, 1} >> Flatten{} >> Linear{{.out = 256}} >> Relu{} >> Linear{{.out = 10}};
  model.build(context);
  SGD optimizer{model.parameters(), {.lr = 1e-3, .momentum = 0.9}};
  const Tensor x = context.normal({64, 28, 28, 1}, 0, 1, 1), y = context.zeros({64}, DType::int64);
  Tape tape{context};
  const Var loss = cross_entropy(model(tape.input(x), Mode::train), y);
  optimizer.step(tape.backward(loss));
  return optimizer.steps() == 1 ? 0 : 1;
}
