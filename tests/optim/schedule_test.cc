#include "optim/schedule.h"

#include <limits>

#include "kernels/error.h"
#include "tests/catch.h"

using namespace tapestry;

TEST_CASE("schedules: StepLr and MultiStepLr fall by gamma") {
  const StepLr stairs{.base = 0.8, .every = 10, .gamma = 0.5};
  REQUIRE(stairs(0) == 0.8);
  REQUIRE(stairs(9) == 0.8);
  REQUIRE(stairs(10) == 0.4);
  REQUIRE(stairs(39) == 0.1);
  const MultiStepLr uneven{.base = 1, .milestones = {3, 7}, .gamma = 0.5};
  REQUIRE(uneven(2) == 1);
  REQUIRE(uneven(3) == 0.5);
  REQUIRE(uneven(6) == 0.5);
  REQUIRE(uneven(7) == 0.25);
  REQUIRE(uneven(1000000) == 0.25);
  REQUIRE(MultiStepLr{.base = 3}(5) == 3);
}

TEST_CASE("schedules: CosineLr goes from base to floor and stays there") {
  const CosineLr cosine{.base = 1, .steps = 100, .floor = 0.2};
  REQUIRE(cosine(0) == 1);
  REQUIRE(cosine(50) == Approx(0.6));
  REQUIRE(cosine(25) == Approx(0.2 + 0.4 * (1 + std::sqrt(0.5))));
  REQUIRE(cosine(100) == Approx(0.2));
  REQUIRE(cosine(1000) == cosine(100));
}

TEST_CASE("schedules: Warmup climbs to another schedule and hands over") {
  const Warmup warmup{.steps = 4, .then = CosineLr{.base = 1, .steps = 10}};
  for (std::int64_t step = 0; step < 4; ++step) REQUIRE(warmup(step) == Approx(0.2 * static_cast<double>(step + 1)));
  REQUIRE(warmup(4) == 1);
  REQUIRE(warmup(9) == Approx(0.5));
  const Schedule any = Warmup{.steps = 0, .then = [](std::int64_t) { return 0.3; }};
  REQUIRE(any(0) == 0.3);
  const Warmup endless{.steps = std::numeric_limits<std::int64_t>::max(), .then = [](std::int64_t) { return 0.3; }};
  REQUIRE(endless(1) > 0);
}

TEST_CASE("schedules: values outside their rule are refused") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  REQUIRE_THROWS_AS((StepLr{.base = nan}(0)), ArgumentError);
  REQUIRE_THROWS_WITH((StepLr{.base = -1}(0)), contains("StepLr: base must be finite and not negative, got -1"));
  REQUIRE_THROWS_WITH((StepLr{.every = 0}(0)), contains("every must be above 0, got 0"));
  REQUIRE_THROWS_WITH((StepLr{.gamma = nan}(0)), contains("gamma must be"));
  REQUIRE_THROWS_WITH((StepLr{}(-1)), contains("step must not be negative, got -1"));
  REQUIRE_THROWS_WITH((MultiStepLr{.milestones = {3, 3}}(0)), contains("milestones must rise, got 3"));
  REQUIRE_THROWS_WITH((MultiStepLr{.base = nan}(0)), contains("base must be"));
  REQUIRE_THROWS_WITH((MultiStepLr{.gamma = -1}(0)), contains("gamma must be"));
  REQUIRE_THROWS_WITH((MultiStepLr{}(-1)), contains("step must not"));
  REQUIRE_THROWS_WITH((CosineLr{.base = nan}(0)), contains("base must be"));
  REQUIRE_THROWS_WITH((CosineLr{.floor = -1}(0)), contains("floor must be"));
  REQUIRE_THROWS_WITH((CosineLr{.steps = 0}(0)), contains("CosineLr: steps must be above 0, got 0"));
  REQUIRE_THROWS_WITH((CosineLr{}(-1)), contains("step must not"));
  REQUIRE_THROWS_WITH((Warmup{.steps = -1}(0)), contains("Warmup: steps must not be negative, got -1"));
  REQUIRE_THROWS_WITH((Warmup{.steps = 1}(0)), contains("set `then`"));
  REQUIRE_THROWS_WITH((Warmup{.then = StepLr{}}(-2)), contains("step must not be negative, got -2"));
}
