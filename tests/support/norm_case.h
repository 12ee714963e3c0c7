// One use of a norm op: its options, its data, what the op finds and what the oracle does.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "autodiff/context.h"
#include "autodiff/ops/norm.h"
#include "tests/support/norm_oracle.h"

namespace tapestry::test {

enum class NormKind { group, layer, rms, batch_train, batch_eval, instance };
const char* kind_name(NormKind kind);

struct NormCase {
  NormKind kind = NormKind::layer;
  Shape shape = {};
  std::int64_t num_groups = 1;               // of group norm
  int axes = 1;                              // of layer and RMS norm, unless reduction is given
  Axes reduction = {};                       // axes that share statistics, in order; nothing: the op's default
  Axes features = {};                        // axes of weight and bias, in order; nothing: the op's default
  bool per_position = false;                 // of group norm: weight and bias [d1..dk, group_size]
  std::optional<Shape> mask = std::nullopt;  // its shape, which stretches to that of x; four of five elements count
  RunningVariance running_variance = RunningVariance::biased;  // of batch norm, as
  double share = 0.25;                                         // the weight of the new running statistics
  double epsilon = 1e-5;
  bool fast_variance = true;
  bool written = false;  // the norm is made of moments and normalize_with: of kind layer, instance or batch_train
  bool weight = true, bias = true, residual = false, relu = false;
  bool constant = false;     // all elements are `mean`
  double mean = 0, std = 1;  // of x
  double dy_mean = 0;        // of dy, whose deviation is 1, or 0 where this is not 0
  std::uint64_t seed = 1;
};
std::string describe(const NormCase& c);

// The sets and parameters that the elements have, and no numbers.
NormProblem arranged(const NormCase& c);
Shape parameter_shape(const NormCase& c);
// The numbers, all of them floats, in their places.
NormProblem draw(const NormCase& c);
// What the oracle finds, running statistics included.
NormSolution solution_of(const NormCase& c, const NormProblem& problem);

// y and all gradients of an op; batch norm in training: also the running statistics after one step.
struct NormResults {
  std::vector<double> y, dx, dweight, dbias, dresidual, running_mean = {}, running_var = {};
};
NormResults run(Context& context, const NormCase& c, const NormProblem& problem, DType dtype);

// Compares with the oracle, each result relative to its largest element: y to that before the ReLU, dx of sets of less
// than 8 elements to the terms that it is the small difference of, sums over the batch to the root of the sum of their
// squares, and the running mean to the deviation. A mean in double allows 2^-48 times mean / deviation, which is more
// than 1e-10 from 3e4 on. Nothing where all is within `tolerance`, else what is not.
std::optional<std::string> judge(const NormCase& c, const NormProblem& problem, const NormSolution& expected,
                                 const NormResults& found, double tolerance);

}  // namespace tapestry::test
