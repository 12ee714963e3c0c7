// Where naive sums lose all digits: means far larger than the deviation, squares that leave the range of float, and
// sets of equal numbers; forward and backward, from 2 to 2^24 elements.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/catch.h"
#include "tests/support/norm_case.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

constexpr NormKind kKinds[] = {NormKind::layer, NormKind::group, NormKind::batch_train, NormKind::instance,
                               NormKind::rms};
constexpr std::pair<double, double> kData[] = {{0, 1},    {1e2, 1e-2}, {1e4, 1e-2}, {1e6, 0.1},
                                               {0, 1e19}, {0, 1e20},   {-3e4, 1e-2}};

// Sets of n elements, for an n that has no factor but in front of `channels`; about three sets or channels.
NormCase case_of(NormKind kind, std::int64_t n, std::int64_t sets = 3) {
  NormCase c{.kind = kind};
  switch (kind) {
    case NormKind::group:
      c.num_groups = sets;
      c.shape = n % 2 == 0 ? Shape{2, n / 2, 2 * sets} : Shape{2, n, sets};
      break;
    case NormKind::batch_train:
      c.shape = n % 2 == 0 ? Shape{2, n / 2, sets} : Shape{n, sets};
      break;
    case NormKind::instance:
      c.shape = {2, n, sets};
      break;
    default:
      c.shape = {sets, n};
      c.bias = c.kind == NormKind::layer;
  }
  return c;
}

// The same through the core that knows any axes: with a mask, which leaves nothing out where sets are small.
NormCase masked(NormCase c, std::int64_t n) {
  c.mask = n < 15 ? Shape{1} : c.shape;
  return c;
}

// The op in float on these targets against the oracle.
void check(const NormCase& c, std::vector<Context>& contexts) {
  const NormProblem problem = draw(c);
  const NormSolution expected = solve(problem);
  for (Context& context : contexts) {
    NormResults found = run(context, c, problem, DType::float32);
    found.running_mean = found.running_var = {};  // a float does not hold the square of 1e20
    const auto complaint = judge(c, problem, expected, found, 1e-6);
    INFO(target_name(context.target()) << ": " << complaint.value_or(""));
    REQUIRE(!complaint);
    count_case(context.target());
  }
}

std::vector<Context> all_contexts() {
  std::vector<Context> contexts;
  for (Target target : tested_targets()) contexts.emplace_back(ContextOptions{.threads = 2, .target = target});
  return contexts;
}

}  // namespace

TEST_CASE("norms: small sets lose no digits far from 0") {
  std::vector<Context> contexts = all_contexts();
  std::uint64_t seed = 1;
  for (NormKind kind : kKinds)
    for (const auto& [mean, std] : kData)
      for (std::int64_t n : {2, 3, 4, 7, 8, 15, 16, 17, 33, 64, 100, 509, 1024, 4096, 65536}) {
        if (n == 65536 && std != 1e-2) continue;
        NormCase c = case_of(kind, n, n > 5000 ? 1 : 3);
        c.mean = mean;
        c.std = std;
        c.residual = n % 3 == 0;
        c.relu = n % 4 == 0;
        c.seed = ++seed;
        check(c, contexts);
        check(masked(c, n), contexts);
      }
}

TEST_CASE("norms: large sets lose no digits far from 0") {
  std::vector<Context> contexts = all_contexts();
  for (NormKind kind : kKinds) {
    NormCase c = case_of(kind, std::int64_t{1} << 20, 1);
    c.mean = 1e6;
    c.std = 0.1;
    check(c, contexts);
  }
}

TEST_CASE("norms: sets of 2^24 elements lose no digits far from 0") {
  std::vector<Context> contexts = all_contexts();
  constexpr std::int64_t kMost = std::int64_t{1} << 24;
  for (NormCase c : {NormCase{.kind = NormKind::layer, .shape = {1, kMost}, .weight = false, .bias = false},
                     NormCase{.kind = NormKind::layer, .shape = {kMost, 1}, .reduction = 0, .features = -1},
                     NormCase{.kind = NormKind::group, .shape = {1, kMost / 2, 2}, .num_groups = 1},
                     NormCase{.kind = NormKind::batch_train, .shape = {2, kMost / 2, 1}}}) {
    c.mean = 1e6;
    c.std = 0.1;
    check(c, contexts);
  }
}

TEST_CASE("norms: a set of equal numbers gives exactly the bias, and a constant gradient exactly 0") {
  std::vector<Context> contexts = all_contexts();
  const Philox philox(3);
  std::uint64_t draws = 0;
  for (NormKind kind : kKinds)
    for (std::int64_t n : {2, 3, 8, 17, 100, 1023, 5000})
      for (int i = 0; i < 40; ++i) {
        NormCase c = case_of(kind, n, 2);
        c.seed = ++draws;
        c.constant = true;
        constexpr double kMost = std::numeric_limits<float>::max();
        const double exponent = -44 + 82.5 * philox.uniform(draws), sign = i % 2 == 0 ? 1 : -1;
        c.mean = sign * (i == 0 ? 3e4 : i == 1 ? kMost : i == 2 ? 0 : std::min(kMost, std::pow(10, exponent)));
        c.dy_mean = i == 4 ? 1 : 0.1 + philox.uniform(1000000 + draws);
        c.epsilon = i % 3 == 0 ? 1e-5 : 1e-3;
        c.weight = i % 2 == 0;
        if (i % 4 == 3) c.mask = Shape{1};
        if (kind == NormKind::group && i % 8 == 4) c.reduction = axes_but(c.shape, 0);
        if (kind == NormKind::rms) {  // which has no such limit: layer norm over the first axis instead
          c = {.kind = NormKind::layer,
               .shape = {n, 2},
               .reduction = 0,
               .features = -1,
               .epsilon = c.epsilon,
               .weight = c.weight,
               .constant = true,
               .mean = c.mean,
               .dy_mean = c.dy_mean,
               .seed = c.seed};
        }
        c.relu = i % 5 == 0;
        NormProblem problem = draw(c);
        std::ranges::fill(problem.weight, 1.25f);
        Context& context = contexts[draws % contexts.size()];
        for (DType dtype : {DType::float32, DType::float64}) {
          const NormResults found = run(context, c, problem, dtype);
          INFO(target_name(context.target()) << ", " << dtype_name(dtype) << ": " << describe(c));
          for (std::size_t j = 0; j < found.y.size(); ++j) {
            const double bias = problem.bias[problem.affine[j]];
            REQUIRE(found.y[j] == (c.relu ? std::max(bias, 0.0) : bias));
            if (!c.relu) REQUIRE(found.dx[j] == 0);
          }
        }
        count_case(context.target());
      }
}
