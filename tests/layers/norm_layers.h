// How tests of norm layers say what y must be.
#pragma once

#include <cmath>

#include "kernels/error.h"
#include "layers/builder.h"
#include "tests/catch.h"
#include "tests/support/norm_oracle.h"

namespace tapestry::test {

inline std::vector<double> numbers(const Tensor& tensor) {
  const Tensor wide = tensor.to(DType::float64);
  const auto values = std::as_const(wide).span<double>();
  return {values.begin(), values.end()};
}

// Checks y against plain loops. `problem` says which elements belong together; x, weight and bias come from here, and
// dy is nothing.
inline void require_normalized(NormProblem problem, const Tensor& x, const Tensor& y, double tolerance = 2e-6) {
  problem.x = numbers(x);
  problem.dy.assign(problem.x.size(), 0);
  const NormSolution expected = solve(problem);
  const std::vector<double> found = numbers(y);
  REQUIRE(y.shape() == x.shape());
  REQUIRE(found.size() == expected.y.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    INFO("element " << i << " of " << to_string(x.shape()));
    REQUIRE(std::abs(found[i] - expected.y[i]) <= tolerance * expected.y_terms);
  }
}

// Whose channels form `groups` groups: the statistics of x [N, ..., C], over all but the batch.
inline std::vector<std::size_t> groups_of(const Shape& shape, std::size_t groups) {
  const auto channels = static_cast<std::size_t>(shape[-1]);
  std::vector<std::size_t> sets = index_over(shape, {0, -1 + shape.rank()});
  for (std::size_t& set : sets) set = set / channels * groups + set % channels / (channels / groups);
  return sets;
}

inline void require_close(const Tensor& a, const Tensor& b, double tolerance) {
  const std::vector<double> x = numbers(a), y = numbers(b);
  REQUIRE(x.size() == y.size());
  for (std::size_t i = 0; i < x.size(); ++i) REQUIRE(std::abs(x[i] - y[i]) <= tolerance);
}

// Statistics in `kept`, weight and bias of the layer along `lie`.
template <class L>
NormProblem problem(const L& layer, const Tensor& x, const Axes& kept, const Axes& lie) {
  NormProblem p{.set = index_over(x.shape(), kept), .affine = index_over(x.shape(), lie)};
  if (layer.has_weight()) p.weight = numbers(layer.weight.value());
  if constexpr (requires { layer.bias; })
    if (layer.has_bias()) p.bias = numbers(layer.bias.value());
  p.epsilon = layer.options.epsilon;
  return p;
}

template <class L>
L built(Context& context, L layer, const Flow& in = {}, DType dtype = DType::float32) {
  build(context, layer, in, dtype);
  return layer;
}

// The message of the error that building throws, or nothing.
template <class L>
std::string refusal(Context& context, L layer, const Flow& in = {}) {
  try {
    build(context, layer, in);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace tapestry::test
