#include "tools/counters.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#if defined(__linux__)
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#endif

namespace tapestry::tools {

#if defined(__linux__)
namespace {

int open_counter(std::uint64_t event) {
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = PERF_TYPE_HARDWARE;
  attributes.config = event;
  attributes.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
  attributes.disabled = attributes.inherit = attributes.exclude_kernel = attributes.exclude_hv = 1;
  return static_cast<int>(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
}

double read_counter(int file) {
  struct {
    std::uint64_t value, enabled, running;
  } now{};
  if (read(file, &now, sizeof now) != sizeof now || now.running == 0) return 0;
  return static_cast<double>(now.value) * static_cast<double>(now.enabled) / static_cast<double>(now.running);
}

}  // namespace

Counters::Counters(bool wanted) {
  if (!wanted) {
    refusal_ = "Hardware counters were not asked for.";
    return;
  }
  constexpr std::uint64_t kEvents[] = {PERF_COUNT_HW_CPU_CYCLES, PERF_COUNT_HW_INSTRUCTIONS,
                                       PERF_COUNT_HW_CACHE_MISSES};
  for (std::size_t i = 0; i < files_.size() && refusal_.empty(); ++i) {
    files_[i] = open_counter(kEvents[i]);
    if (files_[i] >= 0) continue;
    const int error = errno;
    int level = 0;
    const bool known = static_cast<bool>(std::ifstream("/proc/sys/kernel/perf_event_paranoid") >> level);
    refusal_ = fmt::format("Hardware counters cannot be read here: perf_event_open says '{}'{}.", std::strerror(error),
                           known ? fmt::format(", and perf_event_paranoid is {}", level) : "");
  }
}

void Counters::start() {
  for (const int file : files_)
    if (file >= 0 && refusal_.empty()) ioctl(file, PERF_EVENT_IOC_ENABLE, 0);
}

void Counters::stop() {
  for (const int file : files_)
    if (file >= 0 && refusal_.empty()) ioctl(file, PERF_EVENT_IOC_DISABLE, 0);
}

Counters::Counts Counters::counts() const {
  if (!refusal_.empty()) return {};
  return {read_counter(files_[0]), read_counter(files_[1]), read_counter(files_[2])};
}
#else
Counters::Counters(bool) { refusal_ = "Hardware counters can be read on Linux alone."; }
void Counters::start() {}
void Counters::stop() {}
Counters::Counts Counters::counts() const { return {}; }
#endif

Counters::~Counters() {
  for (const int file : files_)
    if (file >= 0) close(file);
}

}  // namespace tapestry::tools
