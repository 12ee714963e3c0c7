// The CPU's own counters, through perf_event_open of Linux, for this thread and those that it starts later.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace tapestry::tools {

class Counters {
 public:
  // Opens them, if that is `wanted`: before the threads that shall be counted are started.
  explicit Counters(bool wanted);
  ~Counters();
  Counters(const Counters&) = delete;
  Counters& operator=(const Counters&) = delete;

  void start();
  void stop();

  struct Counts {
    double cycles = 0, instructions = 0, cache_misses = 0;  // misses: of the last level
  };
  // Between start() and stop(), in user code; scaled up where counters had to take turns.
  Counts counts() const;
  // Why there are no counts, in a sentence; empty where there are.
  const std::string& refusal() const { return refusal_; }

 private:
  std::array<int, 3> files_{-1, -1, -1};
  std::string refusal_;
};

}  // namespace tapestry::tools
