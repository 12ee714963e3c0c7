#include "autodiff/tape.h"

#include "autodiff/record.h"
#include "kernels/error.h"
#include "tests/catch.h"

using namespace tapestry;

namespace {

// y = factor * x, elementwise.
Var scaled(const Var& x, float factor, Location where = std::source_location::current()) {
  Tensor y = x.value().like();
  for (std::int64_t i = 0; i < y.size(); ++i)
    y.span<float>()[static_cast<std::size_t>(i)] = factor * x.value().span<float>()[static_cast<std::size_t>(i)];
  return record("scaled", y, {x}, where, [factor](const Tensor& dy, GradSlots grads) {
    if (Tensor dx = grads.overwrite(0))
      for (std::size_t i = 0; i < dx.span<float>().size(); ++i) dx.span<float>()[i] = factor * dy.span<float>()[i];
  });
}

// y = a + b, elementwise, whose backward hands dy on.
Var plus(const Var& a, const Var& b) {
  Tensor y = a.value().like();
  for (std::size_t i = 0; i < y.span<float>().size(); ++i)
    y.span<float>()[i] = a.value().span<float>()[i] + b.value().span<float>()[i];
  return record("plus", y, {a, b}, {}, [](const Tensor& dy, GradSlots grads) {
    grads.pass(0, dy);
    grads.pass(1, dy);
  });
}

}  // namespace

TEST_CASE("tape: gradients of several uses add up") {
  Context context{{.threads = 1}};
  Tape tape{context};
  const Var x = tape.variable(context.tensor({1}, {2}));
  const Var y = plus(plus(scaled(x, 3), x), plus(x, scaled(x, 5)));
  REQUIRE(y.item() == 20);
  const Gradients gradients = tape.backward(y);
  REQUIRE(gradients[x].item() == 10);
}
