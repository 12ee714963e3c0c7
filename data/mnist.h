// The data sets of 60000 and 10000 images [28, 28, 1] in 10 classes.
#pragma once

#include <string>

#include "data/dataset.h"

namespace tapestry::data {

struct MnistOptions {
  std::string directory = "";  // where the files are; empty: the usual places, see data::find
};

// const auto [train, test] = data::fashion_mnist();
// FileError when the files are nowhere, damaged, or do not agree: images that are not 28 x 28, another number of labels
// than of images, a label above 9.
Split mnist(const MnistOptions& options = {});          // LeCun, Cortes and Burges 1998
Split fashion_mnist(const MnistOptions& options = {});  // Xiao, Rasul and Vollgraf 2017

}  // namespace tapestry::data
