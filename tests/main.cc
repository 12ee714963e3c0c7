#define CATCH_CONFIG_RUNNER
#include <fmt/format.h>

#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/targets.h"

namespace {

// Prints the counts in one form for Catch2 2 and 3; scripts/report_tests.py reads it.
struct Counts : tapestry::test::CatchListener {
  using tapestry::test::CatchListener::CatchListener;
  void testRunEnded(const Catch::TestRunStats& stats) override { print(stats.totals.testCases); }
  template <class CaseCounts>
  void print(const CaseCounts& cases) {
    std::size_t skipped = 0;
    if constexpr (requires { cases.skipped; }) skipped = static_cast<std::size_t>(cases.skipped);
    fmt::print("result: {} passed, {} failed, {} skipped\n", cases.passed + cases.failedButOk, cases.failed, skipped);
  }
};
CATCH_REGISTER_LISTENER(Counts)

// A filter may match nothing in one program and something in another; Catch2 3 objects unless told so.
void allow_no_tests(auto& config) {
  if constexpr (requires { config.allowZeroTests; }) config.allowZeroTests = true;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    tapestry::test::tested_targets();
  } catch (const tapestry::Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 2;
  }
  Catch::Session session;
  allow_no_tests(session.configData());
  const int result = session.run(argc, argv);
  return tapestry::test::report_cases() ? result : 1;
}
