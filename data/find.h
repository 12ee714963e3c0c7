// Where data sets lie on this machine. Nothing is ever downloaded.
#pragma once

#include <array>
#include <string>
#include <vector>

namespace tapestry::data {

// A data set of four idx files, in the manner of MNIST.
struct DataSource {
  std::string name;    // its own folder's name in caches and in the distribution: "fashion-mnist"
  std::string folder;  // its folder's name in the manner of torchvision: "FashionMNIST"
  std::string remedy;  // the command that brings it
};

DataSource mnist_source();
DataSource fashion_mnist_source();

// Paths of images and labels; each file may be called train-images-idx3-ubyte or train-images.idx3-ubyte, and may end
// in .gz.
struct DataFiles {
  std::string directory;  // that holds all four
  std::string train_images, train_labels, test_images, test_labels;
};

// The first folder of this list that holds all four files:
//   directory, directory/<folder>/raw and directory/<name>; then, unless `directory` is given:
//   the same three of $TAPESTRY_DATA_DIR; ./data/<folder>/raw; ./data; $XDG_CACHE_HOME/tapestry/<name>;
//   ~/.cache/tapestry/<name>; /usr/share/datasets/<name>.
// FileError, which lists every folder tried, what it lacks, and the command that helps, when there is none. A given
// directory that lacks the files is an error even where another folder of the list has them: the error says which.
DataFiles find(const DataSource& source, const std::string& directory = "");

}  // namespace tapestry::data
