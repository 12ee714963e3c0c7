#include "data/find.h"

#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/data/support.h"

using namespace tapestry;
using namespace tapestry::data;
using namespace tapestry::test;

namespace {

const std::vector<std::string> kNames{"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                                      "t10k-labels-idx1-ubyte"};

void write_names(const std::filesystem::path& directory, const std::vector<std::string>& names = kNames) {
  for (const std::string& name : names) write_file(directory / name, "x");
}

// An environment in which only folders below `dir` can hold a data set called "cats".
struct Places {
  TempDir dir;
  ScopedEnvironment data{"TAPESTRY_DATA_DIR", (dir / "env").c_str()}, xdg{"XDG_CACHE_HOME", (dir / "xdg").c_str()},
      home{"HOME", (dir / "home").c_str()};
  std::filesystem::path before = std::filesystem::current_path();
  Places() {
    std::filesystem::create_directories(dir / "here");
    std::filesystem::current_path(dir / "here");
  }
  ~Places() { std::filesystem::current_path(before); }
};

const DataSource kCats{"cats",
                       "Cats/raw",
                       "apt install cats",
                       {{"train-images-idx3-ubyte", "train-images.idx3-ubyte"},
                        {"train-labels-idx1-ubyte", "train-labels.idx1-ubyte"},
                        {"t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte"},
                        {"t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte"}}};

}  // namespace

TEST_CASE("find: the order of the folders") {
  const Places places;
  const std::vector<std::pair<std::string, std::string>> order{
      // from the last to the first: where, as it is reported
      {"home/.cache/tapestry/cats", places.dir / "home/.cache/tapestry/cats"},
      {"xdg/tapestry/cats", places.dir / "xdg/tapestry/cats"},
      {"here/data", "data"},
      {"here/data/Cats/raw", "data/Cats/raw"},
      {"env/cats", places.dir / "env/cats"},
      {"env/Cats/raw", places.dir / "env/Cats/raw"},
      {"env", places.dir / "env"}};
  for (const auto& [where, reported] : order) {
    write_names(places.dir.path() / where);
    REQUIRE(find(kCats).directory == reported);
  }
  for (const char* given : {"given/cats", "given/Cats/raw", "given"}) {
    write_names(places.dir.path() / given);
    REQUIRE(find(kCats, places.dir / "given").directory == places.dir / given);
  }
}

TEST_CASE("find: spellings and compressed files") {
  const Places places;
  const auto found = [&](const std::vector<std::string>& names) {
    std::filesystem::remove_all(places.dir / "given");
    write_names(places.dir.path() / "given", names);
    return find(kCats, places.dir / "given");
  };
  REQUIRE(found(kNames).paths[0] == places.dir / "given/train-images-idx3-ubyte");
  const DataFiles dots =
      found({"train-images.idx3-ubyte", "train-labels.idx1-ubyte", "t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte"});
  REQUIRE(dots.paths[3] == places.dir / "given/t10k-labels.idx1-ubyte");
  const DataFiles mixed = found(
      {"train-images-idx3-ubyte.gz", "train-labels.idx1-ubyte.gz", "t10k-images-idx3-ubyte", "t10k-labels.idx1-ubyte"});
  REQUIRE(mixed.paths[0] == places.dir / "given/train-images-idx3-ubyte.gz");
  REQUIRE(mixed.paths[1] == places.dir / "given/train-labels.idx1-ubyte.gz");
  REQUIRE(mixed.paths[2] == places.dir / "given/t10k-images-idx3-ubyte");
}

TEST_CASE("find: a folder that lacks a file is passed over, and the error names all that was tried") {
  const Places places;
  write_names(places.dir.path() / "env", {kNames[0], kNames[1], kNames[3]});
  write_file(places.dir / "xdg/tapestry/cats", "a file");
  REQUIRE_THROWS_AS(find(kCats), FileError);
  REQUIRE_THROWS_WITH(find(kCats), contains("cats: expected the 4 files of cats, found none; tried ") &&
                                       contains(places.dir / "env (has no t10k-images-idx3-ubyte)") &&
                                       contains(places.dir / "env/Cats/raw (does not exist)") &&
                                       contains("data/Cats/raw (does not exist)") &&
                                       contains(places.dir / "xdg/tapestry/cats (is no folder)") &&
                                       contains(places.dir / "home/.cache/tapestry/cats (does not exist)") &&
                                       contains("/usr/share/datasets/cats (does not exist)") &&
                                       contains("to get them: apt install cats"));
  write_names(places.dir.path() / "home/.cache/tapestry/cats");
  REQUIRE(find(kCats).directory == places.dir / "home/.cache/tapestry/cats");
}

TEST_CASE("find: a given folder is not replaced in silence") {
  const Places places;
  std::filesystem::create_directories(places.dir / "given");
  REQUIRE_THROWS_WITH(find(kCats, places.dir / "given"),
                      contains("given: expected the 4 files of cats, found none; tried ") &&
                          contains("given (has none of the 4 files)") && contains("to get them: apt install cats"));
  write_names(places.dir.path() / "env/cats");
  REQUIRE_THROWS_WITH(find(kCats, places.dir / "given"),
                      contains(places.dir / "env/cats has them: name that folder, or none"));
  REQUIRE_THROWS_WITH(find(kCats, places.dir / "gi\nven"), contains("gi\\x0aven: expected the 4 files"));
}
