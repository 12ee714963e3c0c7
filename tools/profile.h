// tapestry profile: where the time of a model's train steps goes, or how fast one op is.
#pragma once

#include <cstdint>
#include <string>

#include "tools/op_model.h"

namespace tapestry::tools {

struct ProfileOptions {
  std::string model = "";       // or
  OpOptions op = {};            // one op alone
  std::int64_t batch_size = 0;  // 0: the model's own
  int steps = 20, warmup = 3, threads = 0;
  std::uint64_t seed = 1;
  std::string precision = "highest";
  std::string trace = "", roofline = "", peaks = "";  // files; empty: none
  bool counters = false, json = false;
};

// Trains on drawn images, or runs the op forward and backward, and prints to stdout; returns the exit code.
// ArgumentError without a model or an op, with both, and for a file of peaks that belong to another machine, FileError
// for one that is damaged, EnvironmentError for files that cannot be written.
int profile(const ProfileOptions& options);

}  // namespace tapestry::tools
