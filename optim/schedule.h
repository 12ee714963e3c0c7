// Learning rates as functions of the step: plain values without a state, called as schedule(step) with steps from 0.
// optimizer.set_lr(schedule(step)) is all there is to using one; any lambda of the same form is a schedule too.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "autodiff/location.h"

namespace tapestry {

using Schedule = std::function<double(std::int64_t step)>;

// Calls of all of these throw ArgumentError, which names the option, for a value outside its rule or a negative step.

// base gamma^floor(step / every).
struct StepLr {
  double base = 1e-3;
  std::int64_t every = 1;  // above 0
  double gamma = 0.1;
  Location where = std::source_location::current();
  double operator()(std::int64_t step) const;
};

// base gamma^(number of milestones that `step` has reached). Milestones rise.
struct MultiStepLr {
  double base = 1e-3;
  std::vector<std::int64_t> milestones = {};
  double gamma = 0.1;
  Location where = std::source_location::current();
  double operator()(std::int64_t step) const;
};

// From `base` at step 0 along half a cosine to `floor` at `steps`, and `floor` from there on:
// floor + (base - floor) (1 + cos(pi step / steps)) / 2. Loshchilov and Hutter, ICLR 2017, without restarts.
struct CosineLr {
  double base = 1e-3;
  std::int64_t steps = 1;  // above 0
  double floor = 0;
  Location where = std::source_location::current();
  double operator()(std::int64_t step) const;
};

// Linear from then(0) / (steps + 1) at step 0 to then(0) at `steps`, where `then` takes over with its own step 0.
struct Warmup {
  std::int64_t steps = 0;
  Schedule then = nullptr;
  Location where = std::source_location::current();
  double operator()(std::int64_t step) const;
};

}  // namespace tapestry
