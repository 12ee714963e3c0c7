#include "data/mnist.h"

#include <cmath>

#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/data/support.h"

using namespace tapestry;
using namespace tapestry::test;

TEST_CASE("mnist: four files become two data sets") {
  const TempDir dir;
  write_mnist(dir.path(), 20, 10);
  const auto [train, test] = data::mnist({.directory = dir.path().string()});
  REQUIRE(train.shape() == Shape{20, 28, 28, 1});
  REQUIRE(test.size() == 10);
  REQUIRE(train.name() == "mnist");
  REQUIRE(train.num_classes() == 10);
  REQUIRE(train.labels()[13] == 3);
  REQUIRE(train.bytes(1)[0] == 784 % 256);
  REQUIRE(data::fashion_mnist({.directory = dir.path().string()}).test.classes()[9] == "Ankle boot");
}

TEST_CASE("mnist: where there is nothing, the error tells what brings it") {
  const TempDir dir;
  REQUIRE_THROWS_WITH(data::mnist({.directory = dir.path().string()}),
                      contains("expected the 4 files of mnist") && contains(dir / "MNIST/raw (does not exist)") &&
                          (contains("to get them: scripts/get-mnist") || contains("has them")));
  REQUIRE_THROWS_WITH(data::fashion_mnist({.directory = dir.path().string()}),
                      contains(dir / "FashionMNIST/raw (does not exist)") &&
                          (contains("to get them: apt install dataset-fashion-mnist") || contains("has them")));
}

TEST_CASE("mnist: files that do not agree") {
  const TempDir dir;
  const auto attempt = [&] { return data::mnist({.directory = dir.path().string()}); };
  const std::string images = dir / "train-images-idx3-ubyte", labels = dir / "train-labels-idx1-ubyte";
  write_mnist(dir.path(), 20, 10);
  write_file(labels, idx_bytes({19}, 19));
  REQUIRE_THROWS_WITH(attempt(), contains("train-labels-idx1-ubyte: expected 20 labels, one for each image of ") &&
                                     contains("found 19"));

  write_mnist(dir.path(), 20, 10);
  Bytes bad = read_file(labels);
  bad[8 + 7] = 10;
  write_file(labels, bad);
  REQUIRE_THROWS_WITH(attempt(), contains("expected labels from 0 to 9, found 10 at image 7"));

  write_mnist(dir.path(), 20, 10);
  write_file(images, idx_bytes({20, 32, 32}, 20 * 1024));
  REQUIRE_THROWS_WITH(attempt(), contains("expected images of 28 x 28, found 32 x 32"));

  write_mnist(dir.path(), 20, 10);
  std::filesystem::rename(images, dir / "swap");
  std::filesystem::rename(labels, images);
  std::filesystem::rename(dir / "swap", labels);
  REQUIRE_THROWS_WITH(attempt(), contains("train-labels-idx1-ubyte: expected 1 axis in the idx header, found 3"));
  REQUIRE_THROWS_AS(attempt(), FileError);

  write_mnist(dir.path(), 20, 10);
  write_file(dir / "t10k-images-idx3-ubyte", idx_bytes({10, 28, 28}, 10 * 784, 0x0B));
  REQUIRE_THROWS_WITH(attempt(), contains("t10k-images-idx3-ubyte: expected idx elements of type 08, found type 0b"));
}

TEST_CASE("mnist: the distribution's Fashion-MNIST") {
  if (!std::filesystem::exists("/usr/share/datasets/fashion-mnist")) return;
  const auto [train, test] = data::fashion_mnist({.directory = "/usr/share/datasets/fashion-mnist"});
  REQUIRE(train.size() == 60000);
  REQUIRE(test.size() == 10000);
  std::vector<int> counts(10);
  for (const std::int64_t label : train.labels()) ++counts[static_cast<std::size_t>(label)];
  REQUIRE(counts == std::vector<int>(10, 6000));
  double sum = 0, squares = 0;
  for (std::int64_t i = 0; i < train.size(); ++i)
    for (const std::uint8_t byte : train.bytes(i)) {
      sum += byte / 255.0;
      squares += byte / 255.0 * (byte / 255.0);
    }
  const double n = 60000.0 * 784, mean = sum / n;
  REQUIRE(mean == Approx(train.mean()[0]).margin(1e-4));
  REQUIRE(std::sqrt(squares / n - mean * mean) == Approx(train.std()[0]).margin(1e-4));
}
