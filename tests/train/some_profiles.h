// A machine and a run for tests of what profiles say.
#pragma once

#include <limits>

#include "train/profile_report.h"

namespace tapestry::test {

inline train::Peaks some_peaks() {
  return {.cpu = "CPU",
          .target = "avx2",
          .threads = 2,
          .thread_flops = 50e9,
          .flops = 100e9,
          .levels = {{"L1", 1e3, 200e9, 100e9, 150e9},
                     {"memory", std::numeric_limits<double>::infinity(), 10e9, 4e9, 8e9}}};
}

inline constexpr train::ProfileRun kRun{.model = "tiny", .batch_size = 4, .precision = "high", .unit = "fma"};

}  // namespace tapestry::test
