// All readers of data sets. This is their one list, for users, for programs that choose one by name, and for the build,
// which takes data/NAME.cc and tests/data/NAME_test.cc for each data/NAME.h.
#pragma once

#include <string_view>

#include "data/cifar.h"
#include "data/idx.h"
#include "data/mnist.h"
#include "data/solids.h"

namespace tapestry::data {

// A data set that lies in files.
struct NamedDataset {
  std::string_view name;
  Split (*read)(const std::string& directory);  // which is empty for the usual places, see data::find
};

inline constexpr NamedDataset kDatasets[] = {
    {"cifar-10", [](const std::string& directory) { return cifar10({.directory = directory}); }},
    {"cifar-100", [](const std::string& directory) { return cifar100({.directory = directory}); }},
    {"fashion-mnist", [](const std::string& directory) { return fashion_mnist({.directory = directory}); }},
    {"mnist", [](const std::string& directory) { return mnist({.directory = directory}); }},
};

}  // namespace tapestry::data
