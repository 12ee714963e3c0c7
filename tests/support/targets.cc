#include "tests/support/targets.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <map>

#include "tests/catch.h"

namespace tapestry::test {
namespace {
std::map<Target, std::size_t>& cases() {
  static std::map<Target, std::size_t> counts;
  return counts;
}
}  // namespace

std::vector<Target> tested_targets() {
  const char* name = std::getenv("TAPESTRY_TARGET");
  if (name != nullptr && *name != '\0') return {active_target()};
  return available_targets();
}

void for_each_target(const std::function<void(const kernels::Device&)>& body) {
  for (Target target : tested_targets()) {
    INFO("target " << target_name(target));
    const Context context{{.threads = 2, .target = target}};
    body(context.device());
  }
}

void count_case(Target target) { ++cases()[target]; }

bool report_cases() {
  if (cases().empty()) return true;
  bool all = true;
  fmt::print("cases per target:");
  for (Target target : tested_targets()) {
    fmt::print(" {} {}", target_name(target), cases()[target]);
    all = all && cases()[target] > 0;
  }
  fmt::print("{}\n", all ? "" : "  FAILED: a target did not run");
  return all;
}

std::span<const std::size_t> awkward_sizes() {
  static constexpr std::size_t sizes[] = {0,  1,  2,  3,  4,  5,  7,  8,   9,   15,  16,  17,   31,
                                          32, 33, 47, 63, 64, 65, 97, 127, 128, 129, 509, 1021, 40009};
  return sizes;
}

void fill_random(std::span<double> out, std::uint64_t seed, double low, double high) {
  const Philox philox(seed, 77);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = low + (high - low) * philox.uniform(i);
}
void fill_random(std::span<float> out, std::uint64_t seed, double low, double high) {
  const Philox philox(seed, 77);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(low + (high - low) * philox.uniform(i));
}

void fill_whole(std::span<float> out, std::uint64_t seed) {
  fill_random(out, seed, -8, 9);
  for (float& x : out) x = std::floor(x);
}

std::vector<double> widened(std::span<const float> x) { return {x.begin(), x.end()}; }

void require_close(std::span<const float> found, std::span<const double> expected, double tolerance, double scale) {
  REQUIRE(found.size() == expected.size());
  if (scale == 0)
    for (double value : expected)
      if (std::isfinite(value)) scale = std::max(scale, std::abs(value));
  double worst = 0;
  std::size_t at = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double value = found[i];
    const bool same = std::isnan(expected[i]) ? std::isnan(value) : value == expected[i];
    const double error = same ? 0 : std::abs(value - expected[i]);
    if (!(error <= worst)) {
      worst = std::isfinite(error) ? error : INFINITY;
      at = i;
    }
  }
  if (worst > tolerance * scale)
    FAIL("element " << at << " of " << found.size() << ": found " << fmt::format("{:.9g}", found[at]) << ", expected "
                    << fmt::format("{:.17g}", expected[at]) << ", error " << worst << " over " << tolerance * scale);
}

}  // namespace tapestry::test
