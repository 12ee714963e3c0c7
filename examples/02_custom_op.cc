// Ops of your own, in two ways, each proved by the gradient check.
#include <fmt/format.h>
#include <tapestry.h>

#include <cmath>

using namespace tapestry;

namespace {

// A pointwise op is a lambda: one pass over memory, on SIMD lanes, forward and backward. The slope comes from the
// lambda itself by dual numbers.
Var softsign(const Var& x) {
  return map("softsign", x, [](auto v) { return v / (1 + abs(v)); });
}

// Anything else is a forward in plain C++ and, in record(), its backward; what the backward captures is what is saved.
// Here y = |x|, the length of each row: x [N, C] -> y [N], and dx = dy x / y.
Var row_length(const Var& x, Location where = std::source_location::current()) {
  if (x.shape().rank() != 2) fail<ShapeError>(where, "row_length", "x must be [N, C]; it is " + to_string(x.shape()));
  const std::int64_t rows = x.shape()[0], width = x.shape()[1];
  Tensor y = x.value().like(Shape{rows});
  visit_floating("row_length", x.dtype(), [&]<class T>(T) {
    for (std::int64_t i = 0; i < rows; ++i) {
      T sum = 0;
      for (const T v :
           x.value().span<T>().subspan(static_cast<std::size_t>(i * width), static_cast<std::size_t>(width)))
        sum += v * v;
      y.span<T>()[static_cast<std::size_t>(i)] = std::sqrt(sum);
    }
  });
  return record("row_length", y, {x}, where, [x = x.value(), y, width](const Tensor& dy, GradSlots grads) {
    Tensor dx = grads.overwrite(0);
    visit_floating("row_length", dy.dtype(), [&]<class T>(T) {
      for (std::size_t i = 0; i < dx.span<T>().size(); ++i) {
        const std::size_t row = i / static_cast<std::size_t>(width);
        dx.span<T>()[i] = dy.span<T>()[row] * x.span<T>()[i] / y.span<T>()[row];
      }
    });
  });
}

bool prove(Context& context, const char* name, Var (*op)(const Var&)) {
  const auto f = [op](std::span<const Var> in) { return op(in[0]); };
  const GradcheckResult result = gradcheck(context, f, {context.uniform({6, 5}, 0.1, 2, 1, DType::float64)});
  fmt::print("{:10}  {} derivatives, {}\n", name, result.entries, result ? "all right" : result.message);
  return result.passed;
}

}  // namespace

int main() {
  Context context;
  const bool good =
      prove(context, "softsign", softsign) && prove(context, "row_length", [](const Var& x) { return row_length(x); });

  Tape tape{context};
  const Var x = tape.variable(context.tensor({2, 2}, {3, 4, 0, -2}));
  const Gradients gradients = tape.backward(sum(row_length(x) + sum(softsign(x))));
  fmt::print("d/dx = [{:.4f}]\n", fmt::join(gradients[x].span<float>(), ", "));
  return good ? 0 : 1;
}
