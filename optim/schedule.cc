#include "optim/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/error.h"

namespace tapestry {
namespace {

template <class T>
void require(bool good, const Location& where, const char* schedule, const char* rule, T value) {
  if (!good) fail<ArgumentError>(where, schedule, fmt::format("{}, got {}", rule, value));
}

void require_rate(double value, const Location& where, const char* schedule, const char* rule) {
  require(std::isfinite(value) && value >= 0, where, schedule, rule, value);
}

void require_step(std::int64_t step, const Location& where, const char* schedule) {
  require(step >= 0, where, schedule, "step must not be negative", step);
}

}  // namespace

double StepLr::operator()(std::int64_t step) const {
  require_rate(base, where, "StepLr", "base must be finite and not negative");
  require_rate(gamma, where, "StepLr", "gamma must be finite and not negative");
  require(every > 0, where, "StepLr", "every must be above 0", every);
  require_step(step, where, "StepLr");
  return base * std::pow(gamma, static_cast<double>(step / every));
}

double MultiStepLr::operator()(std::int64_t step) const {
  require_rate(base, where, "MultiStepLr", "base must be finite and not negative");
  require_rate(gamma, where, "MultiStepLr", "gamma must be finite and not negative");
  for (std::size_t i = 1; i < milestones.size(); ++i)
    require(milestones[i] > milestones[i - 1], where, "MultiStepLr", "milestones must rise", milestones[i]);
  require_step(step, where, "MultiStepLr");
  const auto reached = std::ranges::upper_bound(milestones, step) - milestones.begin();
  return base * std::pow(gamma, static_cast<double>(reached));
}

double CosineLr::operator()(std::int64_t step) const {
  require_rate(base, where, "CosineLr", "base must be finite and not negative");
  require_rate(floor, where, "CosineLr", "floor must be finite and not negative");
  require(steps > 0, where, "CosineLr", "steps must be above 0", steps);
  require_step(step, where, "CosineLr");
  const double part = static_cast<double>(std::min(step, steps)) / static_cast<double>(steps);
  return floor + (base - floor) * (1 + std::cos(std::numbers::pi * part)) / 2;
}

double Warmup::operator()(std::int64_t step) const {
  require(steps >= 0, where, "Warmup", "steps must not be negative", steps);
  require_step(step, where, "Warmup");
  if (!then) fail<ArgumentError>(where, "Warmup", "needs a schedule to go on with: set `then`");
  if (step >= steps) return then(step - steps);
  return then(0) * (static_cast<double>(step) + 1) / (static_cast<double>(steps) + 1);
}

}  // namespace tapestry
