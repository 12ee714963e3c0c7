#include "data/find.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <utility>

#include "autodiff/text.h"
#include "kernels/error.h"

namespace tapestry::data {
namespace {

namespace fs = std::filesystem;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

void add(std::vector<fs::path>& places, const fs::path& place) {
  if (std::find(places.begin(), places.end(), place) == places.end()) places.push_back(place);
}

void add_root(std::vector<fs::path>& places, const fs::path& root, const DataSource& source) {
  add(places, root);
  add(places, root / source.folder / "raw");
  add(places, root / source.name);
}

std::vector<fs::path> usual_places(const DataSource& source) {
  std::vector<fs::path> places;
  if (const std::string root = environment("TAPESTRY_DATA_DIR"); !root.empty()) add_root(places, root, source);
  add(places, fs::path("data") / source.folder / "raw");
  add(places, "data");
  if (const std::string cache = environment("XDG_CACHE_HOME"); !cache.empty())
    add(places, fs::path(cache) / "tapestry" / source.name);
  if (const std::string home = environment("HOME"); !home.empty())
    add(places, fs::path(home) / ".cache" / "tapestry" / source.name);
  add(places, fs::path("/usr/share/datasets") / source.name);
  return places;
}

// The path of "train-images-idx3-ubyte" in one of its spellings; empty when there is none.
std::string spelled(const fs::path& directory, std::string_view stem, std::string_view ending) {
  for (const char* form : {"{}-{}", "{}-{}.gz", "{}.{}", "{}.{}.gz"}) {
    const fs::path path = directory / fmt::format(fmt::runtime(form), stem, ending);
    std::error_code error;
    if (fs::exists(path, error)) return path.string();
  }
  return {};
}

// Looks into `directory`; `lacks` gets what is missing there.
DataFiles look(const fs::path& directory, std::string& lacks) {
  std::error_code error;
  DataFiles files{directory.string(), spelled(directory, "train-images", "idx3-ubyte"),
                  spelled(directory, "train-labels", "idx1-ubyte"), spelled(directory, "t10k-images", "idx3-ubyte"),
                  spelled(directory, "t10k-labels", "idx1-ubyte")};
  const std::array<std::pair<const std::string*, const char*>, 4> wanted{
      {{&files.train_images, "train-images-idx3-ubyte"},
       {&files.train_labels, "train-labels-idx1-ubyte"},
       {&files.test_images, "t10k-images-idx3-ubyte"},
       {&files.test_labels, "t10k-labels-idx1-ubyte"}}};
  lacks.clear();
  int missing = 0;
  for (const auto& [path, name] : wanted)
    if (path->empty()) {
      lacks += (missing++ == 0 ? "has no " : ", ") + std::string(name);
    }
  if (!fs::is_directory(directory, error))
    lacks = error || !fs::exists(directory, error) ? "does not exist" : "is no folder";
  if (missing == 4 && lacks.starts_with("has")) lacks = "has none of the four files";
  return files;
}

}  // namespace

DataSource mnist_source() { return {"mnist", "MNIST", "scripts/get-mnist"}; }
DataSource fashion_mnist_source() { return {"fashion-mnist", "FashionMNIST", "apt install dataset-fashion-mnist"}; }

DataFiles find(const DataSource& source, const std::string& directory) {
  std::vector<fs::path> places;
  if (!directory.empty()) add_root(places, directory, source);
  const std::size_t given = places.size();
  for (const fs::path& place : usual_places(source)) add(places, place);

  std::string tried, lacks;
  for (std::size_t i = 0; i < places.size(); ++i) {
    DataFiles files = look(places[i], lacks);
    const std::string place = printable(places[i].string());
    if (lacks.empty() && (given == 0 || i < given)) return files;
    if (lacks.empty())
      throw FileError(
          fmt::format("{}: expected the four files of {}, found none or not all (tried {}); {} has them: "
                      "name that folder, or none",
                      printable(directory), source.name, tried, place));
    tried += fmt::format("{}{} ({})", tried.empty() ? "" : ", ", place, lacks);
  }
  throw FileError(fmt::format("{}: expected the four files of {}, found none; tried {}; to get them: {}",
                              directory.empty() ? source.name : printable(directory), source.name, tried,
                              source.remedy));
}

}  // namespace tapestry::data
