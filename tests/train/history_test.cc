#include "train/history.h"

#include <cmath>

#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/support/files.h"

using namespace tapestry;
using namespace tapestry::test;
using train::History;

TEST_CASE("history: one object a line") {
  const TempDir dir;
  write_file(dir / "a/history.jsonl",
             "what was there before, and is longer than what comes now: it goes away entirely, of course");
  {
    History history(dir / "a/history.jsonl");
    history.write({12, 1, "train", 0.5, 0.875, 1e-3, 123456.78, 1.25});
    REQUIRE(read_text(dir / "a/history.jsonl").size() > 10);  // nothing is held back
    history.write({12, 1, "test", 1234567.0, 0, 0.25, 0, 0});
  }
  REQUIRE(read_text(dir / "a/history.jsonl") ==
          "{\"step\":12,\"epoch\":1,\"split\":\"train\",\"loss\":0.5,\"acc\":0.875,\"lr\":0.001,\"img_s\":123456.8,"
          "\"wall_s\":1.250}\n"
          "{\"step\":12,\"epoch\":1,\"split\":\"test\",\"loss\":1234567,\"acc\":0,\"lr\":0.25,\"img_s\":0.0,\"wall_s\":"
          "0.000}\n");
}

TEST_CASE("history: paths that cannot be written") {
  const TempDir dir;
  write_file(dir / "file", "x");
  std::filesystem::create_directories(dir / "folder/history.jsonl");
  REQUIRE_THROWS_WITH(History(dir / "file/history.jsonl"),
                      contains("file/history.jsonl: cannot be written: Not a directory"));
  REQUIRE_THROWS_AS(History(dir / "file/history.jsonl"), EnvironmentError);
  REQUIRE_THROWS_WITH(History("/proc/none/history.jsonl"), contains("/proc/none/history.jsonl: cannot be written: "));
  REQUIRE_THROWS_WITH(History(dir / "folder/history.jsonl"), contains("Is a directory"));
  REQUIRE_THROWS_AS(History(dir / std::string(300, 'x')), EnvironmentError);
}

TEST_CASE("history: two runs do not mix") {
  const TempDir dir;
  const History one(dir / "h");
  REQUIRE_THROWS_WITH(History(dir / "h"), contains("another run writes there"));
}

TEST_CASE("history: a full disk is told") {
  History full("/dev/full");
  REQUIRE_THROWS_WITH(full.write({}), contains("/dev/full: cannot be written: No space left on device"));
}

TEST_CASE("history: require_writable leaves nothing behind") {
  const TempDir dir;
  REQUIRE_NOTHROW(train::require_writable(dir / "new/weights"));
  REQUIRE(std::filesystem::is_empty(dir / "new"));
  write_file(dir / "file", "x");
  REQUIRE_NOTHROW(train::require_writable(dir / "file"));
  REQUIRE(read_text(dir / "file") == "x");
  REQUIRE_THROWS_WITH(train::require_writable(dir / "file/weights"), contains("Not a directory"));
  REQUIRE_THROWS_WITH(train::require_writable(dir.path().string()), contains("it is a folder"));
  std::filesystem::create_symlink("nowhere/at/all", dir / "dangling");
  REQUIRE_THROWS_AS(train::require_writable(dir / "dangling"), EnvironmentError);
  REQUIRE_THROWS_AS(train::require_writable("/proc/weights"), EnvironmentError);
}
