#include "train/machine.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>
#include <string_view>

namespace tapestry::train {
namespace {

// The whole file; empty where there is none.
std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlank);
  return first == text.npos ? "" : text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// The number that the text starts with, -1 for none.
long long number(std::string_view text) {
  text = trimmed(text);
  long long value = 0;
  return std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc{} ? value : -1;
}

// Calls body(line) for each line of the text.
template <class Body>
void for_lines(std::string_view text, const Body& body) {
  for (std::size_t end; !text.empty(); text.remove_prefix(std::min(end + 1, text.size()))) {
    end = std::min(text.find('\n'), text.size());
    body(text.substr(0, end));
  }
}

std::string cpu_name(const std::string& root) {
  std::string name;
  for_lines(text_of(root + "/proc/cpuinfo"), [&](std::string_view line) {
    const std::size_t colon = line.find(':');
    const std::string_view key = trimmed(line.substr(0, colon));
    if (colon == line.npos || !name.empty()) return;
    if (key == "model name") name = trimmed(line.substr(colon + 1));
    if (key == "CPU part") name = fmt::format("CPU part {}", trimmed(line.substr(colon + 1)));
  });
  return name.empty() ? "unknown" : name;
}

// "0-3,8": 5.
int listed_cpus(std::string_view list) {
  long long count = 0;
  for (list = trimmed(list); !list.empty();) {
    const std::size_t end = std::min(list.find(','), list.size()), dash = list.substr(0, end).find('-');
    const long long first = number(list);
    const long long last = dash == list.npos ? first : number(list.substr(dash + 1));
    if (first < 0 || last < first || last > 1'000'000) return 1;
    count += last - first + 1;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return static_cast<int>(std::max(count, 1LL));
}

std::size_t bytes_of(std::string_view size) {  // "48K"
  size = trimmed(size);
  const long long value = number(size);
  if (value <= 0 || value > 1LL << 40) return 0;
  const auto count = static_cast<std::size_t>(value);
  return size.ends_with('K') ? count << 10 : size.ends_with('M') ? count << 20 : count;
}

std::vector<Cache> listed_caches(const std::string& root) {
  std::vector<Cache> caches;
  for (int index = 0; index < 16; ++index) {
    const auto entry = [&](const char* name) {
      return text_of(fmt::format("{}/sys/devices/system/cpu/cpu0/cache/index{}/{}", root, index, name));
    };
    const long long level = number(entry("level"));
    if (level < 1 || level > 9) continue;
    const std::string type = entry("type");
    const std::size_t bytes = bytes_of(entry("size"));
    if (trimmed(type) == "Instruction" || bytes == 0) continue;
    const long long line = number(entry("coherency_line_size"));
    caches.push_back({static_cast<int>(level), bytes, static_cast<std::size_t>(std::clamp(line, 16LL, 4096LL)),
                      listed_cpus(entry("shared_cpu_list"))});
  }
  std::ranges::sort(caches, {}, &Cache::level);
  return caches;
}

std::vector<Cache> configured_caches() {
  std::vector<Cache> caches;
#ifdef _SC_LEVEL1_DCACHE_SIZE
  const int sizes[] = {_SC_LEVEL1_DCACHE_SIZE, _SC_LEVEL2_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE};
  for (int level = 1; level <= 3; ++level)
    if (const long bytes = sysconf(sizes[level - 1]); bytes > 0)
      caches.push_back({level, static_cast<std::size_t>(bytes), 64, 1});
#endif
  return caches;
}

// The least of the quotas from the process's group up, in CPUs.
void take_least(std::optional<double>& quota, long long time, long long period) {
  if (time <= 0 || period <= 0) return;
  const double cpus = static_cast<double>(time) / static_cast<double>(period);
  quota = quota ? std::min(*quota, cpus) : cpus;
}

std::optional<double> cpu_quota(const std::string& root) {
  std::optional<double> quota;
  for_lines(text_of(root + "/proc/self/cgroup"), [&](std::string_view line) {  // "0::/path", "4:cpu,cpuacct:/path"
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == line.npos || second == line.npos) return;
    const std::string controllers = fmt::format(",{},", line.substr(first + 1, second - first - 1));
    const bool unified = controllers == ",,";
    if (!unified && controllers.find(",cpu,") == controllers.npos) return;
    for (std::string path(line.substr(second + 1));; path.erase(path.find_last_of('/'))) {
      if (unified) {
        const std::string text = text_of(fmt::format("{}/sys/fs/cgroup{}/cpu.max", root, path));
        take_least(quota, number(text), number(text.substr(std::min(text.find(' '), text.size()))));
      } else {
        const std::string folder = fmt::format("{}/sys/fs/cgroup/cpu{}/cpu.cfs_", root, path);
        take_least(quota, number(text_of(folder + "quota_us")), number(text_of(folder + "period_us")));
      }
      if (path.find('/') == path.npos) break;
    }
  });
  return quota;
}

// "always [madvise] never": "madvise".
std::string huge_pages(const std::string& root) {
  const std::string text = text_of(root + "/sys/kernel/mm/transparent_hugepage/enabled");
  const std::size_t begin = text.find('['), end = text.find(']');
  return begin < end && end != text.npos ? text.substr(begin + 1, end - begin - 1) : "";
}

int allowed_cpus() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  return sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? std::max(1, CPU_COUNT(&cpus)) : 1;
}

}  // namespace

Machine find_machine(const std::string& root) {
  Machine machine{.cpu = cpu_name(root),
                  .caches = listed_caches(root),
                  .caches_known = true,
                  .cpus = allowed_cpus(),
                  .cpu_quota = cpu_quota(root),
                  .huge_pages = huge_pages(root)};
  if (machine.caches.empty()) machine.caches = configured_caches();
  if (machine.caches.empty()) {
    machine.caches = {{1, 32 << 10, 64, 1}, {2, 512 << 10, 64, 1}, {3, 8 << 20, 64, machine.cpus}};
    machine.caches_known = false;
  }
  return machine;
}

std::string size_text(std::size_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB"};
  auto size = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; size >= 1024 && unit < 3; ++unit) size /= 1024;
  return fmt::format("{:.4g} {}", size, kUnits[unit]);
}

}  // namespace tapestry::train
