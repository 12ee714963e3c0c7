// tapestry info: what Tapestry finds on this machine.
#pragma once

namespace tapestry::tools {

struct InfoOptions {
  bool measure = false, json = false;
};

// Prints to stdout; returns the exit code. EnvironmentError for a bad TAPESTRY_TARGET or TAPESTRY_THREADS.
int info(const InfoOptions& options);

}  // namespace tapestry::tools
