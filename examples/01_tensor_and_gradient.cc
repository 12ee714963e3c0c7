// Tensors, a tape, a gradient: fits y = a x + b to four points.
#include <fmt/format.h>
#include <tapestry.h>

using namespace tapestry;

int main() {
  Context context{{.seed = 1}};  // threads, memory and randomness; nothing is global
  const Tensor x = context.tensor({4}, {0, 1, 2, 3});
  const Tensor y = context.tensor({4}, {1, 3, 5, 7});
  Tensor a = context.zeros({1}), b = context.zeros({1});

  for (int step = 1; step <= 200; ++step) {
    Tape tape{context};  // remembers what follows
    const Var slope = tape.variable(a), offset = tape.variable(b);
    const Var error = slope * tape.input(x) + offset - tape.input(y);
    const Var loss = mean(error * error);
    const Gradients gradients = tape.backward(loss);  // a value: nothing to set to zero

    if (step % 50 == 1)
      fmt::print("step {:3}  loss {:.6f}  y = {:.3f} x + {:.3f}\n", step, loss.item(), a.item(), b.item());
    a = context.tensor({1}, {static_cast<float>(a.item() - 0.1 * gradients[slope].item())});
    b = context.tensor({1}, {static_cast<float>(b.item() - 0.1 * gradients[offset].item())});
  }
  fmt::print("found      y = {:.3f} x + {:.3f}\n", a.item(), b.item());

  // What the tape says of any function can be proved against differences, in double.
  const auto cubes = [](std::span<const Var> in) { return sum(in[0] * in[0] * in[0]); };
  const GradcheckResult proof = gradcheck(context, cubes, {context.uniform({5}, -1, 1, 7, DType::float64)});
  fmt::print("d sum(x^3)/dx = 3 x^2: {}\n", proof ? "proved" : proof.message);
  return proof ? 0 : 1;
}
