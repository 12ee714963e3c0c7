// Where data sets lie on this machine. Nothing is ever downloaded.
#pragma once

#include <string>
#include <vector>

namespace tapestry::data {

// A data set of files.
struct DataSource {
  std::string name;    // its own folder's name in caches and in the distribution: "fashion-mnist"
  std::string folder;  // where torchvision keeps its files, below a root: "FashionMNIST/raw"
  std::string remedy;  // the command that brings it
  // Each file in its spellings, of which errors name the first: {"train-images-idx3-ubyte", ...}. Any may end in .gz.
  std::vector<std::vector<std::string>> files;
};

struct DataFiles {
  std::string directory;           // that holds them all
  std::vector<std::string> paths;  // in the order of the source
};

// The first folder of this list that holds all files:
//   directory, directory/<folder> and directory/<name>; then, unless `directory` is given:
//   the same three of $TAPESTRY_DATA_DIR; ./data/<folder>; ./data; $XDG_CACHE_HOME/tapestry/<name>;
//   ~/.cache/tapestry/<name>; /usr/share/datasets/<name>.
// FileError, which lists every folder tried, what it lacks, and the command that helps, when there is none. A given
// directory that lacks the files is an error even where another folder of the list has them: the error says which.
DataFiles find(const DataSource& source, const std::string& directory = "");

}  // namespace tapestry::data
