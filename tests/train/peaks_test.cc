#include "train/peaks.h"

#include <cmath>
#include <limits>

#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/files.h"

using namespace tapestry;
using namespace tapestry::test;
using train::Bandwidth;
using train::Peaks;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Peaks some_peaks() {
  return {.cpu = "a \"CPU\" \xff",
          .target = "avx2",
          .threads = 2,
          .thread_flops = 50e9,
          .flops = 100e9,
          .unit = "tiles",
          .unit_flops = 300e9,
          .levels = {
              {"L1", 64e3, 200e9, 100e9, 150e9}, {"L2", 1e6, 50e9, 60e9, 40e9}, {"memory", kInfinity, 8e9, 4e9, 10e9}}};
}

}  // namespace

TEST_CASE("peaks: the smallest level that holds the bytes, and the lower roof") {
  const Peaks peaks = some_peaks();
  REQUIRE(peaks.level_for(0).level == "L1");
  REQUIRE(peaks.level_for(64e3).level == "L1");
  REQUIRE(peaks.level_for(64e3 + 1).level == "L2");
  REQUIRE(peaks.level_for(1e12).level == "memory");
  REQUIRE(peaks.levels[0].best() == 200e9);
  REQUIRE(peaks.levels[1].best() == 60e9);
  REQUIRE(peaks.levels[2].best() == 10e9);
  REQUIRE(peaks.roof(0.25, peaks.levels[2]) == 2.5e9);
  REQUIRE(peaks.roof(1000, peaks.levels[2]) == 100e9);
}

TEST_CASE("peaks: are measured once, with a level for each cache and memory") {
  const Context context{{.threads = 2}};
  train::Machine machine{.cpu = "for the test",
                         .caches = {{1, 16 << 10, 64, 1}, {2, 256 << 10, 64, 2}, {3, 256 << 10, 64, 1}}};
  const Peaks peaks = train::measure_peaks(context, machine);
  REQUIRE((peaks.cpu == "for the test" && peaks.threads == 2 && peaks.target == target_name(context.target())));
  REQUIRE(peaks.levels.size() == 3);  // the third is not larger than the second's share, twice
  REQUIRE((peaks.levels[0].level == "L1" && peaks.levels[0].capacity == 32 << 10));
  REQUIRE((peaks.levels[1].level == "L2" && peaks.levels[1].capacity == 256 << 10));
  REQUIRE((peaks.levels[2].level == "memory" && peaks.levels[2].capacity == kInfinity));
  for (const Bandwidth& level : peaks.levels) {
    INFO(level.level);
    for (const double rate : {level.read, level.write, level.copy}) REQUIRE((rate > 1e7 && rate < 1e14));
  }
  REQUIRE(peaks.precision == "highest");
  REQUIRE((peaks.unit == "fma" ? peaks.unit_flops == 0 : peaks.unit_flops > 1e7));
  REQUIRE((peaks.flops > 1e7 && peaks.thread_flops > 1e7 && peaks.flops < 1e15));
  REQUIRE(train::to_json(train::measure_peaks(context, machine)) == train::to_json(peaks));
  const Context rough{{.threads = 2, .precision = Precision::medium}};
  REQUIRE(train::measure_peaks(rough, machine).precision == "medium");
}

TEST_CASE("peaks: a file brings back the numbers that were written") {
  const TempDir folder;
  const std::string path = folder / "below/peaks.json";
  const Peaks peaks = some_peaks();
  train::save_peaks(path, peaks);
  const Peaks read = train::load_peaks(path);
  REQUIRE(train::to_json(read) == train::to_json(peaks));
  REQUIRE(read.levels[2].capacity == kInfinity);
  REQUIRE((read.precision == "highest" && read.unit == "tiles" && read.unit_flops == 300e9));
  REQUIRE((read.threads == 2 && read.flops == 100e9 && read.levels[1].write == 60e9));
  REQUIRE(read_text(path).ends_with("]}\n"));
}

TEST_CASE("peaks: a file that holds anything else is named") {
  const TempDir folder;
  const std::string path = folder / "peaks.json";
  REQUIRE_THROWS_AS(train::load_peaks(path), FileError);
  const std::string good = train::to_json(some_peaks());
  const auto with = [&](std::string_view from, std::string_view to) {
    std::string text = good;
    return text.replace(text.find(from), from.size(), to);
  };
  for (const std::string& text :
       {std::string(), std::string("["), std::string("[]"), std::string("{}"), good.substr(0, good.size() - 1),
        with("\"threads\":2", "\"threads\":\"2\""), with("\"threads\":2", "\"threads\":0"), with("8000000000.0", "-1"),
        with("\"flops\":1", "\"flops\":-1"), with("\"capacity\":64000.0", "\"capacity\":0"),
        std::string(2 << 20, ' ')}) {
    write_file(path, text);
    INFO(text.substr(0, 400));
    REQUIRE_THROWS_AS(train::load_peaks(path), FileError);
  }
}
