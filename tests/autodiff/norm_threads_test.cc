// The norms give the same bits at any number of threads, whatever their options, and whatever a mask leaves out.
#include <cmath>
#include <limits>

#include "tests/catch.h"
#include "tests/support/norm_case.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

const NormCase kCases[] = {
    {.kind = NormKind::group, .shape = {40, 9, 9, 24}, .num_groups = 3, .residual = true, .relu = true},
    {.kind = NormKind::group, .shape = {2, 40, 40, 48}, .num_groups = 48},
    {.kind = NormKind::instance, .shape = {3, 3000, 20}, .relu = true},
    {.kind = NormKind::batch_train, .shape = {16, 15, 15, 24}, .residual = true},
    {.kind = NormKind::batch_eval, .shape = {16, 15, 15, 24}, .residual = true, .relu = true},
    {.kind = NormKind::layer, .shape = {900, 200}, .relu = true},
    {.kind = NormKind::layer, .shape = {3, 4, 50, 200}, .axes = 3, .residual = true},
    {.kind = NormKind::group, .shape = {12, 30, 30, 24}, .num_groups = 3, .per_position = true, .relu = true},
    {.kind = NormKind::group, .shape = {12, 30, 30, 24}, .num_groups = 3, .reduction = {0, 2, 3}},
    {.kind = NormKind::group, .shape = {12, 24, 30, 30}, .num_groups = 3, .features = 1, .mask = Shape{12, 1, 30, 30}},
    {.kind = NormKind::instance, .shape = {12, 30, 30, 24}, .features = {1, 3}, .residual = true},
    {.kind = NormKind::instance, .shape = {12, 900, 24}, .mask = Shape{900, 1}},
    {.kind = NormKind::batch_train, .shape = {16, 15, 15, 24}, .mask = Shape{16, 1, 1, 24}, .relu = true},
    {.kind = NormKind::batch_train, .shape = {16, 24, 15, 15}, .features = 1, .residual = true},
    {.kind = NormKind::batch_eval, .shape = {16, 24, 15, 15}, .features = {1, 2}},
    {.kind = NormKind::layer, .shape = {900, 200}, .mask = Shape{900, 200}},
    {.kind = NormKind::layer, .shape = {90, 40, 50}, .reduction = 1, .features = {1, 2}},
    {.kind = NormKind::rms, .shape = {900, 200}, .bias = false, .relu = true},
    {.kind = NormKind::rms,
     .shape = {90, 40, 50},
     .reduction = {0, 2},
     .features = -1,
     .mask = Shape{50},
     .bias = false},
};

std::vector<double> all_of(const NormResults& results) {
  std::vector<double> all;
  for (const auto* part : {&results.y, &results.dx, &results.dweight, &results.dbias, &results.dresidual,
                           &results.running_mean, &results.running_var})
    all.insert(all.end(), part->begin(), part->end());
  return all;
}

}  // namespace

TEST_CASE("norms: every form gives the same bits at 1, 2, 3 and 7 threads") {
  Context one{{.threads = 1}}, two{{.threads = 2}}, three{{.threads = 3}}, seven{{.threads = 7}};
  for (const NormCase& c : kCases) {
    const NormProblem problem = draw(c);
    INFO(describe(c));
    for (DType dtype : {DType::float32, DType::float64}) {
      const std::vector<double> expected = all_of(run(one, c, problem, dtype));
      for (Context* context : {&two, &three, &seven}) REQUIRE(all_of(run(*context, c, problem, dtype)) == expected);
    }
  }
}

TEST_CASE("norms: what a mask leaves out changes no bit of what counts") {
  const double hidden[] = {NAN, INFINITY, -INFINITY, std::numeric_limits<float>::max(), 1e-40, -1e30};
  for (Target target : tested_targets()) {
    Context context{{.threads = 2, .target = target}};
    for (NormKind kind : {NormKind::group, NormKind::layer, NormKind::rms, NormKind::batch_train, NormKind::instance})
      for (DType dtype : {DType::float32, DType::float64})
        for (std::uint64_t seed = 1; seed <= 8; ++seed) {
          const NormCase c{.kind = kind,
                           .shape = {3, 7, 12},
                           .num_groups = 2,
                           .mask = Shape{3, 7, 12},
                           .bias = kind != NormKind::rms,
                           .mean = 5,
                           .seed = seed};
          NormProblem problem = draw(c);
          for (std::size_t i = 0; i < problem.x.size(); ++i)
            if (!problem.selected[i]) problem.dy[i] = 0;
          const NormResults expected = run(context, c, problem, dtype);
          for (std::size_t i = 0; i < problem.x.size(); ++i)
            if (!problem.selected[i]) problem.x[i] = hidden[(seed + i) % std::size(hidden)];
          const NormResults found = run(context, c, problem, dtype);
          INFO(target_name(target) << ", " << dtype_name(dtype) << ", " << describe(c));
          for (std::size_t i = 0; i < problem.x.size(); ++i)
            if (problem.selected[i]) REQUIRE((found.y[i] == expected.y[i] && found.dx[i] == expected.dx[i]));
          REQUIRE(found.dweight == expected.dweight);
          REQUIRE(found.dbias == expected.dbias);
          REQUIRE(found.running_var == expected.running_var);
          count_case(target);
        }
  }
}
