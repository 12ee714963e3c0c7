#include "autodiff/gradcheck.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/error.h"

namespace tapestry {
namespace {

using Function = std::function<Var(std::span<const Var>)>;

// The directions in which y is looked at: unit vectors, or random ones.
std::vector<std::vector<double>> directions(std::int64_t outputs, std::int64_t inputs, std::uint64_t seed) {
  const bool whole = outputs <= 4096 / std::max<std::int64_t>(inputs, 1);
  const std::size_t count = whole ? static_cast<std::size_t>(outputs) : 8;
  std::vector<std::vector<double>> all(count, std::vector<double>(static_cast<std::size_t>(outputs), 0.0));
  for (std::size_t i = 0; i < count; ++i) {
    if (whole) {
      all[i][i] = 1;
    } else {
      const Philox philox(seed, i);
      for (std::size_t j = 0; j < all[i].size(); ++j) all[i][j] = 2 * philox.uniform(j) - 1;
    }
  }
  return all;
}

double dot(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

Tensor evaluate(Context& context, const Function& f, std::span<const Tensor> inputs) {
  std::vector<Var> vars;
  for (const Tensor& input : inputs) vars.push_back(context.input(input));
  const Var y = f(vars);
  if (!y.value()) throw ArgumentError("gradcheck: the function returned a Var that holds nothing");
  return y.value().clone();  // y may be an input itself under another shape
}

// Row d, input k: the gradient of dot(directions[d], y) with respect to inputs[k].
std::vector<std::vector<Tensor>> analytic(Context& context, const Function& f, std::span<const Tensor> inputs,
                                          std::span<const std::vector<double>> ways) {
  std::vector<std::vector<Tensor>> rows;
  for (const std::vector<double>& way : ways) {
    Tape tape{context};
    std::vector<Var> vars;
    for (const Tensor& input : inputs) vars.push_back(tape.variable(input));
    const Var y = f(vars);
    const Gradients gradients = tape.backward(y, context.tensor(y.shape(), std::span<const double>(way)));
    rows.emplace_back();
    for (const Var& var : vars) rows.back().push_back(gradients[var]);
  }
  return rows;
}

}  // namespace

GradcheckResult gradcheck(Context& context, const Function& f, std::vector<Tensor> inputs, GradcheckOptions options) {
  std::int64_t size = 0;
  for (Tensor& input : inputs) {
    if (input.dtype() != DType::float64) throw ArgumentError("gradcheck: inputs must be float64");
    input = input.clone();
    size += input.size();
  }
  const Tensor y = evaluate(context, f, inputs);
  const auto ways = directions(y.size(), size, options.seed);
  const auto rows = analytic(context, f, inputs, ways);
  GradcheckResult result;
  for (std::size_t k = 0; k < inputs.size(); ++k)
    for (std::size_t j = 0; j < inputs[k].span<double>().size(); ++j) {
      const double x = inputs[k].span<double>()[j], h = options.step * std::max(1.0, std::abs(x));
      const auto at = [&](double value) {
        inputs[k].span<double>()[j] = value;
        return evaluate(context, f, inputs);
      };
      const Tensor y1 = at(x + h), y2 = at(x - h), y3 = at(x + 2 * h), y4 = at(x - 2 * h);
      inputs[k].span<double>()[j] = x;
      for (std::size_t d = 0; d < ways.size(); ++d) {
        const auto value = [&](const Tensor& t) { return dot(ways[d], t.span<double>()); };
        const double numeric = (8 * (value(y1) - value(y2)) - (value(y3) - value(y4))) / (12 * h);
        const double found = rows[d][k].span<double>()[j];
        const double error = std::abs(found - numeric) / (options.atol + options.rtol * std::abs(numeric));
        ++result.entries;
        if (error <= result.worst) continue;  // a NaN goes on
        result.worst = std::isnan(error) ? INFINITY : error;
        result.message = fmt::format("input {} element {} (x = {}), direction {}: analytic {}, numeric {}", k, j, x, d,
                                     found, numeric);
      }
    }
  result.passed = result.worst <= 1;
  return result;
}

}  // namespace tapestry
