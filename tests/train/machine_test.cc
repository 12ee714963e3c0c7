#include "train/machine.h"

#include <filesystem>

#include "tests/catch.h"
#include "tests/support/files.h"

using namespace tapestry;
using namespace tapestry::test;
using train::find_machine;
using train::Machine;

namespace {

// Writes a file below `root`, and the folders above it.
void put(const TempDir& root, const std::string& path, std::string_view text) {
  std::filesystem::create_directories((root.path() / path).parent_path());
  write_file(root / path, text);
}

void put_cache(const TempDir& root, int index, const char* level, const char* type, const char* size,
               const char* cpus) {
  const std::string folder = "sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/";
  put(root, folder + "level", level);
  put(root, folder + "type", type);
  put(root, folder + "size", size);
  put(root, folder + "coherency_line_size", "64\n");
  put(root, folder + "shared_cpu_list", cpus);
}

}  // namespace

TEST_CASE("machine: names, caches and huge pages are read as Linux writes them") {
  const TempDir root;
  put(root, "proc/cpuinfo", "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nprocessor: 1\nmodel name: Other\n");
  put_cache(root, 0, "1\n", "Data\n", "48K\n", "0\n");
  put_cache(root, 1, "1\n", "Instruction\n", "32K\n", "0\n");
  put_cache(root, 2, "3\n", "Unified\n", "33M\n", "0-3,8,10-11\n");
  put_cache(root, 3, "2\n", "Unified\n", "1024K\n", "0-1\n");
  put(root, "sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
  const Machine machine = find_machine(root.path().string());
  REQUIRE(machine.cpu == "Some CPU @ 2 GHz");
  REQUIRE(machine.caches_known);
  REQUIRE(machine.caches.size() == 3);
  REQUIRE((machine.caches[0].level == 1 && machine.caches[0].bytes == 48 << 10 && machine.caches[0].shared_by == 1));
  REQUIRE((machine.caches[1].level == 2 && machine.caches[1].bytes == 1 << 20 && machine.caches[1].shared_by == 2));
  REQUIRE((machine.caches[2].level == 3 && machine.caches[2].bytes == 33 << 20 && machine.caches[2].shared_by == 7));
  REQUIRE(machine.caches[2].line == 64);
  REQUIRE(machine.huge_pages == "madvise");
  REQUIRE_FALSE(machine.cpu_quota);
  REQUIRE(machine.cpus >= 1);
}

TEST_CASE("machine: the least quota of the control groups above the process counts, in both versions") {
  const TempDir second;
  put(second, "proc/self/cgroup", "0::/a/b\n");
  put(second, "sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  put(second, "sys/fs/cgroup/a/cpu.max", "150000 100000\n");
  put(second, "sys/fs/cgroup/cpu.max", "400000 100000\n");
  REQUIRE(find_machine(second.path().string()).cpu_quota == 1.5);

  const TempDir first;
  put(first, "proc/self/cgroup", "9:name=systemd:/x\n4:cpu,cpuacct:/a\n3:cpuset:/b\n");
  put(first, "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "50000\n");
  put(first, "sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
  put(first, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  put(first, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  REQUIRE(find_machine(first.path().string()).cpu_quota == 0.5);
}

TEST_CASE("machine: what is missing or garbled leaves defaults") {
  const TempDir root;
  Machine machine = find_machine(root.path().string());
  REQUIRE(machine.cpu == "unknown");
  REQUIRE(machine.huge_pages.empty());
  REQUIRE_FALSE(machine.caches.empty());

  put(root, "proc/cpuinfo", "model name");
  put(root, "proc/self/cgroup", "0::nowhere\n:\nx\n\n7:cpu:\n");
  put(root, "sys/kernel/mm/transparent_hugepage/enabled", "] never [");
  put_cache(root, 0, "one", "Data", "48K", "0");
  put_cache(root, 1, "1", "Data", "-4K", "0");
  put_cache(root, 2, "1", "Data", "99999999999999999999", "0");
  put_cache(root, 3, "2", "Data", "64K", "9-3,");
  put(root, "sys/devices/system/cpu/cpu0/cache/index3/coherency_line_size", "");
  machine = find_machine(root.path().string());
  REQUIRE(machine.cpu == "unknown");
  REQUIRE(machine.huge_pages.empty());
  REQUIRE(machine.caches.size() == 1);
  REQUIRE((machine.caches[0].bytes == 64 << 10 && machine.caches[0].shared_by == 1 && machine.caches[0].line == 16));
}

TEST_CASE("machine: sizes as people write them") {
  REQUIRE(train::size_text(0) == "0 B");
  REQUIRE(train::size_text(1023) == "1023 B");
  REQUIRE(train::size_text(48 << 10) == "48 KiB");
  REQUIRE(train::size_text(3 << 19) == "1.5 MiB");
  REQUIRE(train::size_text(std::size_t{5} << 40) == "5120 GiB");
}
