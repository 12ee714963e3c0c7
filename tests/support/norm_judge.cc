// What an op found, beside what the oracle did.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "tests/support/norm_case.h"

namespace tapestry::test {
namespace {

std::size_t largest_set(const NormProblem& problem) {
  std::map<std::size_t, std::size_t> count;
  std::size_t largest = 0;
  for (std::size_t set : problem.set) largest = std::max(largest, ++count[set]);
  return largest;
}

double largest(const std::vector<double>& values) {
  double scale = 0;
  for (double value : values)
    if (std::isfinite(value)) scale = std::max(scale, std::abs(value));
  return scale;
}

}  // namespace

std::optional<std::string> judge(const NormCase& c, const NormProblem& problem, const NormSolution& expected,
                                 const NormResults& found, double tolerance) {
  std::string complaints;
  double off = 0;  // mean / deviation
  for (std::size_t i = 0; i < expected.mean.size(); ++i)
    if (expected.var[i] > 0) off = std::max(off, std::abs(expected.mean[i]) / std::sqrt(expected.var[i]));
  tolerance = std::max(tolerance, off * 0x1p-48);
  const auto compare = [&](const char* name, const std::vector<double>& got, const std::vector<double>& want,
                           double terms = 0) {
    if (got.empty() || want.empty()) return;
    const double scale = std::max(largest(want), terms);
    double worst = 0;
    std::size_t at = 0;
    for (std::size_t i = 0; i < want.size(); ++i) {
      const bool same = got[i] == want[i] || (std::isnan(got[i]) && std::isnan(want[i]));
      const double error = same ? 0 : std::abs(got[i] - want[i]);
      if (error <= worst) continue;
      worst = std::isfinite(error) ? error : INFINITY;
      at = i;
    }
    if (got.size() != want.size() || worst > tolerance * scale)
      complaints += fmt::format("{}[{}] of {} is {:.17g}, not {:.17g}: error {:.3g} of the largest, {:.3g}\n", name, at,
                                got.size(), got[at], want[at], worst / scale, scale);
  };
  compare("y", found.y, expected.y, expected.y_terms);
  compare("dx", found.dx, expected.dx, c.mask || largest_set(problem) < 8 ? expected.dx_terms : 0);
  compare("dweight", found.dweight, expected.dweight, expected.dweight_terms);
  compare("dbias", found.dbias, expected.dbias, expected.dbias_terms);
  compare("dresidual", found.dresidual, expected.dresidual);
  compare("running_mean", found.running_mean, expected.running_mean, std::sqrt(largest(expected.var)));
  compare("running_var", found.running_var, expected.running_var);
  return complaints.empty() ? std::nullopt : std::optional(describe(c) + "\n" + complaints);
}

}  // namespace tapestry::test
