#include "tests/support/ops.h"

#include <cmath>

#include "autodiff/gradcheck.h"
#include "tests/catch.h"
#include "tests/support/targets.h"

namespace tapestry::test {
namespace {

std::vector<Tensor> random_inputs(const Context& context, const std::vector<Shape>& shapes, const OpCheck& check) {
  std::vector<Tensor> inputs;
  for (const Shape& shape : shapes) {
    Tensor input = context.empty(shape, DType::float64);
    fill_random(input.span<double>(), check.seed * 1000 + inputs.size(), check.low, check.high);
    for (double& x : input.span<double>()) {
      x = static_cast<float>(x);  // so that float and double start from the same numbers
      if (std::abs(x - check.away_from) < 0.05) x += x < check.away_from ? -0.0625 : 0.0625;
    }
    inputs.push_back(input);
  }
  return inputs;
}

// y, then dx of every input, for a fixed random dy.
std::vector<Tensor> run(Context& context, const OpFunction& f, const std::vector<Tensor>& inputs, DType dtype,
                        std::uint64_t seed) {
  Tape tape{context};
  std::vector<Var> vars;
  for (const Tensor& input : inputs) vars.push_back(tape.variable(input.to(dtype)));
  const Var y = f(vars);
  Tensor dy = context.empty(y.shape(), DType::float64);
  fill_random(dy.span<double>(), seed + 500);
  for (double& x : dy.span<double>()) x = static_cast<float>(x);
  const Gradients gradients = tape.backward(y, dy.to(dtype));
  std::vector<Tensor> results{y.value()};
  for (const Var& var : vars) results.push_back(gradients[var]);
  return results;
}

}  // namespace

void check_op(const OpFunction& f, const std::vector<Shape>& shapes, OpCheck check) {
  std::string listed;
  for (const Shape& shape : shapes) listed += to_string(shape) + " ";
  INFO("inputs " << listed << "seed " << check.seed);
  Context reference{{.threads = 1}};
  const std::vector<Tensor> inputs = random_inputs(reference, shapes, check);
  const GradcheckResult result = gradcheck(reference, f, inputs);
  INFO("gradcheck: " << result.message << ", worst " << result.worst);
  REQUIRE(result.passed);
  if (!check.float_too) return;
  const std::vector<Tensor> expected = run(reference, f, inputs, DType::float64, check.seed);
  for (Target target : tested_targets()) {
    Context context{{.threads = 2, .target = target}};
    const std::vector<Tensor> found = run(context, f, inputs, DType::float32, check.seed);
    for (std::size_t i = 0; i < found.size(); ++i) {
      INFO("target " << target_name(target) << (i == 0 ? ", y" : ", gradient of input " + std::to_string(i - 1)));
      require_close(std::as_const(found[i]).span<float>(), std::as_const(expected[i]).span<double>(), check.tolerance);
    }
    count_case(target);
  }
}

const std::vector<Shape>& awkward_shapes() {
  static const std::vector<Shape> kShapes{{1},       {2},       {3},    {7},  {17},         {2, 3},    {4, 5},
                                          {3, 1, 4}, {2, 2, 5}, {0, 3}, {33}, {1, 2, 3, 2}, {5, 1, 13}};
  return kShapes;
}

void check_unary(const std::function<Var(const Var&)>& f, OpCheck check) {
  const auto of_one = [&](std::span<const Var> in) { return f(in[0]); };
  check_op(of_one, {Shape{}}, check);
  for (const Shape& shape : awkward_shapes()) check_op(of_one, {shape}, check);
}

}  // namespace tapestry::test
