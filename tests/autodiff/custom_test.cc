#include "autodiff/custom.h"

#include <cmath>

#include "tests/catch.h"
#include "tests/support/ops.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

// y = x * exp(z), elementwise, written out by hand in both types.
Var scaled_exp(const Var& x, const Var& z) {
  const auto forward = [](const Tensor& a, const Tensor& b) {
    Tensor y = a.like();
    visit_floating("scaled_exp", a.dtype(), [&]<class T>(T) {
      for (std::size_t i = 0; i < a.span<T>().size(); ++i) y.span<T>()[i] = a.span<T>()[i] * std::exp(b.span<T>()[i]);
    });
    return y;
  };
  const auto backward = [](const CustomCall<2>& call, const Tensor& dy, GradSlots grads) {
    Tensor dx = grads.overwrite(0), dz = grads.overwrite(1);
    const Tensor& exponent = call.inputs[1];
    visit_floating("scaled_exp", dy.dtype(), [&]<class T>(T) {
      for (std::size_t i = 0; i < dx.span<T>().size(); ++i)
        dx.span<T>()[i] = dy.span<T>()[i] * std::exp(exponent.span<T>()[i]);
      for (std::size_t i = 0; i < dz.span<T>().size(); ++i) dz.span<T>()[i] = dy.span<T>()[i] * call.y.span<T>()[i];
    });
  };
  return custom("scaled_exp", forward, backward, x, z);
}

}  // namespace

TEST_CASE("custom: an op from two lambdas passes the gradient check") {
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{5}, Shape{2, 3}, Shape{7, 1}, Shape{1, 9}, Shape{4, 4},
                             Shape{2, 3, 2}, Shape{3, 1, 5}, Shape{17}, Shape{2, 2, 2, 2}, Shape{33}})
    check_op([](std::span<const Var> in) { return scaled_exp(in[0], in[1]); }, {shape, shape});
}

TEST_CASE("custom: an input that needs no gradient gets no slot, and an empty result is refused") {
  Context context{{.threads = 1}};
  Tape tape{context};
  const Var x = tape.variable(context.tensor({2}, {1, 2})), z = tape.input(context.tensor({2}, {0, 0}));
  const Gradients gradients = tape.backward(scaled_exp(x, z), context.tensor({2}, {1, 1}));
  REQUIRE(std::as_const(gradients).operator[](x).shape() == Shape{2});
  REQUIRE_THROWS_AS(gradients[z], ArgumentError);
  REQUIRE_THROWS_WITH(custom(
                          "nothing", [](const Tensor&) { return Tensor{}; },
                          [](const CustomCall<1>&, const Tensor&, GradSlots) {}, context.input(context.zeros({1}))),
                      contains("nothing: the forward returned"));
}
