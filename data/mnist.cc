#include "data/mnist.h"

#include <fmt/format.h>

#include <algorithm>

#include "autodiff/text.h"
#include "data/find.h"
#include "data/idx.h"
#include "kernels/error.h"

namespace tapestry::data {
namespace {

[[noreturn]] void fail_file(const std::string& path, std::string_view expected, std::string_view found) {
  throw FileError(fmt::format("{}: expected {}, found {}", printable(path), expected, found));
}

Dataset read_part(const std::string& images_path, const std::string& labels_path, const DatasetInfo& info) {
  IdxArray labels = read_idx(labels_path, {.type = IdxType::uint8, .rank = 1});
  IdxArray images = read_idx(images_path, {.type = IdxType::uint8, .rank = 3});
  if (images.shape[1] != 28 || images.shape[2] != 28)
    fail_file(images_path, "images of 28 x 28", fmt::format("{} x {}", images.shape[1], images.shape[2]));
  if (images.shape[0] != labels.shape[0])
    fail_file(labels_path, fmt::format("{} labels, one for each image of {}", images.shape[0], printable(images_path)),
              fmt::format("{}", labels.shape[0]));
  const auto wrong =
      std::ranges::find_if(labels.bytes, [&](std::uint8_t label) { return label >= info.classes.size(); });
  if (wrong != labels.bytes.end())
    fail_file(labels_path, fmt::format("labels from 0 to {}", info.classes.size() - 1),
              fmt::format("{} at image {}", *wrong, wrong - labels.bytes.begin()));
  const Shape shape{images.shape[0], images.shape[1], images.shape[2], 1};
  return Dataset(std::move(images.bytes), shape, std::vector<std::int64_t>(labels.bytes.begin(), labels.bytes.end()),
                 info);
}

// The files train-images-idx3-ubyte and so on, which may also be called train-images.idx3-ubyte.
DataSource source_of(const std::string& name, const std::string& folder, const std::string& remedy) {
  DataSource source{name, folder + "/raw", remedy, {}};
  for (const char* stem :
       {"train-images{}idx3-ubyte", "train-labels{}idx1-ubyte", "t10k-images{}idx3-ubyte", "t10k-labels{}idx1-ubyte"})
    source.files.push_back({fmt::format(fmt::runtime(stem), '-'), fmt::format(fmt::runtime(stem), '.')});
  return source;
}

Split read(const DataSource& source, const MnistOptions& options, const DatasetInfo& info) {
  const std::vector<std::string> paths = find(source, options.directory).paths;
  return {read_part(paths[0], paths[1], info), read_part(paths[2], paths[3], info)};
}

}  // namespace

Split mnist(const MnistOptions& options) {
  return read(source_of("mnist", "MNIST", "scripts/get-mnist"), options,
              {.name = "mnist",
               .classes = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
               .mean = {0.1307},
               .std = {0.3081}});
}

Split fashion_mnist(const MnistOptions& options) {
  return read(source_of("fashion-mnist", "FashionMNIST", "apt install dataset-fashion-mnist"), options,
              {.name = "fashion-mnist",
               .classes = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
                           "Ankle boot"},
               .mean = {0.2860},
               .std = {0.3530}});
}

}  // namespace tapestry::data
