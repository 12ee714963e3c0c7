#include "data/find.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

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
  add(places, root / source.folder);
  add(places, root / source.name);
}

std::vector<fs::path> usual_places(const DataSource& source) {
  std::vector<fs::path> places;
  if (const std::string root = environment("TAPESTRY_DATA_DIR"); !root.empty()) add_root(places, root, source);
  add(places, fs::path("data") / source.folder);
  add(places, "data");
  if (const std::string cache = environment("XDG_CACHE_HOME"); !cache.empty())
    add(places, fs::path(cache) / "tapestry" / source.name);
  if (const std::string home = environment("HOME"); !home.empty())
    add(places, fs::path(home) / ".cache" / "tapestry" / source.name);
  add(places, fs::path("/usr/share/datasets") / source.name);
  return places;
}

// The path of a file in the first of its spellings that is there; empty when none is.
std::string spelled(const fs::path& directory, const std::vector<std::string>& spellings) {
  for (const std::string& name : spellings)
    for (const char* ending : {"", ".gz"}) {
      const fs::path path = directory / (name + ending);
      std::error_code error;
      if (fs::exists(path, error)) return path.string();
    }
  return {};
}

// Looks into `directory`; `lacks` gets what is missing there.
DataFiles look(const DataSource& source, const fs::path& directory, std::string& lacks) {
  DataFiles files{directory.string(), {}};
  std::vector<std::string> missing;
  for (const std::vector<std::string>& spellings : source.files) {
    files.paths.push_back(spelled(directory, spellings));
    if (files.paths.back().empty()) missing.push_back(spellings.front());
  }
  std::error_code error;
  if (!fs::is_directory(directory, error))
    lacks = error || !fs::exists(directory, error) ? "does not exist" : "is no folder";
  else if (missing.size() == source.files.size())
    lacks = fmt::format("has none of the {} files", missing.size());
  else
    lacks = missing.empty() ? "" : fmt::format("has no {}", fmt::join(missing, ", "));
  return files;
}

}  // namespace

DataFiles find(const DataSource& source, const std::string& directory) {
  std::vector<fs::path> places;
  if (!directory.empty()) add_root(places, directory, source);
  const std::size_t given = places.size();
  for (const fs::path& place : usual_places(source)) add(places, place);

  std::string tried, lacks;
  for (std::size_t i = 0; i < places.size(); ++i) {
    DataFiles files = look(source, places[i], lacks);
    const std::string place = printable(places[i].string());
    if (lacks.empty() && (given == 0 || i < given)) return files;
    if (lacks.empty())
      throw FileError(
          fmt::format("{}: expected the {} files of {}, found none or not all (tried {}); {} has them: "
                      "name that folder, or none",
                      printable(directory), source.files.size(), source.name, tried, place));
    tried += fmt::format("{}{} ({})", tried.empty() ? "" : ", ", place, lacks);
  }
  throw FileError(fmt::format("{}: expected the {} files of {}, found none; tried {}; to get them: {}",
                              directory.empty() ? source.name : printable(directory), source.files.size(), source.name,
                              tried, source.remedy));
}

}  // namespace tapestry::data
