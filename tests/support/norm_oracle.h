// Every normalization as plain loops in long double, written from the formulas and for any axes, groups, masks and
// replicas: what the ops are held against. It shares no code with kernels/.
#pragma once

#include <cstddef>
#include <vector>

#include "autodiff/axes.h"
#include "autodiff/ops/norm.h"

namespace tapestry::test {

// For each element of an array of this shape its number in the array of the axes `kept`, in the order in which they
// are named, row-major: {1} for channels that are axis 1, {0, 2} for the rows of axis 1. Nothing kept: 0.
std::vector<std::size_t> index_over(const Shape& shape, const Axes& kept);
// For each element its number in an array of shape `small` that broadcasts to `shape`.
std::vector<std::size_t> index_in(const Shape& shape, const Shape& small);
Axes axes_but(const Shape& shape, const Axes& left_out);  // all the others, in order

// Elements [n] that belong to sets with statistics in common, and have parameters: all by number.
struct NormProblem {
  std::vector<double> x = {}, dy = {};
  std::vector<std::size_t> set = {};           // whose statistics an element has
  std::vector<std::size_t> affine = {};        // which weight and bias
  std::vector<double> weight = {}, bias = {};  // nothing: 1 and 0
  std::vector<double> residual = {};           // nothing: none
  std::vector<bool> selected = {};             // what counts for the statistics; nothing: all
  std::vector<std::size_t> replica = {};  // of each element; nothing: one. A set has the mean of its replicas' means
  std::vector<double> frozen_mean = {}, frozen_var = {};    // of each set; nothing: those of x
  std::vector<double> running_mean = {}, running_var = {};  // of each set, before this batch; nothing: 0 and 1
  bool center = true;                                       // false: RMS norm
  bool relu = false;
  double epsilon = 1e-5;
};

struct NormSolution {
  std::vector<double> y = {}, dx = {}, dweight = {}, dbias = {}, dresidual = {};
  std::vector<double> mean = {}, var = {};                  // of each set; RMS norm: 0 and the mean square
  std::vector<double> running_mean = {}, running_var = {};  // see next_running()
  // How large the terms are: of y before the ReLU, of dx rstd |dy weight|, of dbias the root of the sum of squares, of
  // dweight that times the root of the mean of h^2.
  double y_terms = 0, dx_terms = 0, dweight_terms = 0, dbias_terms = 0;
};

// y = relu(h weight + bias + residual), h = (x - mean) / sqrt(var + epsilon), and the gradients of sum(y dy).
// With w the weights of the elements in their set's statistics (1 / n; with a mask 1 / n_selected or 0; over replicas
// the mean of these) and g = dy weight: dx = rstd (g - w (sum g + h sum g h)), without sum g for RMS norm and without
// both for frozen statistics; dweight = sum dy h, dbias = sum dy.
NormSolution solve(const NormProblem& problem);

// Fills in what batch norm keeps after this batch: (1 - share) old + share new, for the mean and what `kind` says.
// A batch whose statistics are not finite changes nothing.
void next_running(const NormProblem& problem, RunningVariance kind, double share, NormSolution& solution);

}  // namespace tapestry::test
