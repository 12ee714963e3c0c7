#define CATCH_CONFIG_RUNNER
#include "tests/catch.h"
#include "tests/support/targets.h"

int main(int argc, char** argv) {
  const int result = Catch::Session().run(argc, argv);
  return tapestry::test::report_cases() ? result : 1;
}
