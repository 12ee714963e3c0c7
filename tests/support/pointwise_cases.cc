#include "tests/support/pointwise_cases.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>

#include "autodiff/pointwise/formulas-inl.h"

namespace tapestry::test {

pointwise::Params PointwiseCase::params() const { return pointwise::with_defaults(pointwise::signature(op), options); }

std::string PointwiseCase::name() const { return fmt::format("{} {}", pointwise::signature(op).name, options); }

std::optional<Activation> PointwiseCase::activation() const {
  const auto number = static_cast<std::size_t>(op);
  if (number >= pointwise::Activations::size || !options.empty()) return {};
  return static_cast<Activation>(number + 1);
}

const std::vector<PointwiseCase>& pointwise_cases() {
  static const std::vector<PointwiseCase> all = [] {
    std::vector<PointwiseCase> cases = activation_cases();
    std::ranges::copy(function_cases(), std::back_inserter(cases));
    return cases;
  }();
  return all;
}

}  // namespace tapestry::test
