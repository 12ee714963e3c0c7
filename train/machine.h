// What the operating system tells of the machine: CPU, caches, how many CPUs this process may use, huge pages.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace tapestry::train {

// A cache for data.
struct Cache {
  int level = 0;
  std::size_t bytes = 0, line = 0;
  int shared_by = 1;  // CPUs that have it in common
};

struct Machine {
  std::string cpu = "unknown";                     // the model's name
  std::vector<Cache> caches = {};                  // from level 1 on; never empty
  bool caches_known = false;                       // false: nothing tells their sizes, `caches` holds usual ones
  int cpus = 1;                                    // that this process may be scheduled on
  std::optional<double> cpu_quota = std::nullopt;  // how many of them its control group may use at a time; nothing: all
  std::string huge_pages = "";  // for those who ask: "always", "madvise" or "never"; empty: not known
};

// Reads /proc and /sys below `root`, sysconf where they say nothing of caches. Whatever is missing or garbled there is
// left at its default: this throws for lack of memory alone.
Machine find_machine(const std::string& root = "");

// The size as people write it: "48 KiB", "1 MiB", "1.5 MiB".
std::string size_text(std::size_t bytes);

}  // namespace tapestry::train
