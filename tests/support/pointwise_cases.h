// The table of the pointwise ops: what each must give, for all tests that walk it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "autodiff/ops/activation.h"
#include "autodiff/pointwise/run.h"
#include "layers/any_layer.h"

namespace tapestry::test {

// y and its slope at x, exactly.
struct Point {
  double x, y, slope;
};
// The error that float may have, in units of the last place of the exact result, or of `floor` where that is larger.
struct Ulp {
  double limit = 3, floor = 0;
};

// A call with options that break a rule, and what the error says.
struct Refusal {
  std::function<Var(const Var&)> f;
  const char* message;
};

struct PointwiseCase {
  pointwise::Op op;
  std::function<Var(const Var&)> f;              // what users call
  long double (*formula)(long double);           // as in the book
  std::vector<double> options = {};              // those of f that are not the usual ones
  std::optional<AnyLayer> layer = std::nullopt;  // that f is the op of
  double low = -10, high = 10;                   // where values are compared
  Ulp y = {}, dx = {};
  bool huge_y = true, huge_dx = true;     // whether float gives what double gives at all of its numbers
  std::vector<double> kinks = {};         // where the slope jumps
  double slope_low = -4, slope_high = 4;  // where gradients are checked when there are no kinks
  std::vector<Point> points = {};         // limits at both infinities, kinks, ends
  std::vector<Refusal> refused = {};

  pointwise::Params params() const;
  std::string name() const;  // with the options
  // What f is among the activations that have names and, here, their usual options.
  std::optional<Activation> activation() const;
};

std::vector<PointwiseCase> activation_cases();
std::vector<PointwiseCase> function_cases();
// Both.
const std::vector<PointwiseCase>& pointwise_cases();

}  // namespace tapestry::test
