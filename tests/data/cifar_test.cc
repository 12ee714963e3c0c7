#include "data/cifar.h"

#include <algorithm>

#include "kernels/error.h"
#include "tests/catch.h"
#include "tests/data/support.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

// Channel c of pixel (y, x) of image i.
std::uint8_t pixel(std::size_t i, std::size_t c, std::size_t y, std::size_t x) {
  return static_cast<std::uint8_t>(7 * i + 80 * c + 3 * y + x);
}

// Images first, first + 1, ..., each behind its label bytes.
Bytes images(std::size_t first, const std::vector<Bytes>& labels) {
  Bytes bytes;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    bytes = bytes + labels[i];
    for (std::size_t c = 0; c < 3; ++c)
      for (std::size_t y = 0; y < 32; ++y)
        for (std::size_t x = 0; x < 32; ++x) bytes.push_back(pixel(first + i, c, y, x));
  }
  return bytes;
}

void write_cifar10(const std::filesystem::path& directory) {
  for (std::uint8_t batch = 0; batch < 5; ++batch)
    write_file(directory / ("data_batch_" + std::to_string(batch + 1) + ".bin"),
               images(2 * batch, {{batch}, {static_cast<std::uint8_t>(9 - batch)}}));
  write_file(directory / "test_batch.bin", images(100, {{3}, {0}, {9}}));
}

void write_cifar100(const std::filesystem::path& directory) {
  write_file(directory / "train.bin", images(0, {{4, 0}, {19, 99}}));
  write_file(directory / "test.bin", images(7, {{11, 1}}));
}

void require_image(const data::Dataset& set, std::int64_t place, std::size_t number) {
  const std::span<const std::uint8_t> bytes = set.bytes(place);
  for (std::size_t y = 0; y < 32; ++y)
    for (std::size_t x = 0; x < 32; ++x)
      for (std::size_t c = 0; c < 3; ++c) REQUIRE(bytes[3 * (32 * y + x) + c] == pixel(number, c, y, x));
}

}  // namespace

TEST_CASE("cifar: six files become CIFAR-10, channels last") {
  const TempDir dir;
  write_cifar10(dir.path() / "cifar-10-batches-bin");
  const auto [train, test] = data::cifar10({.directory = dir.path().string()});
  REQUIRE(train.shape() == Shape{10, 32, 32, 3});
  REQUIRE(test.shape() == Shape{3, 32, 32, 3});
  REQUIRE(train.name() == "cifar-10");
  REQUIRE(train.classes()[9] == "truck");
  REQUIRE(train.num_classes() == 10);
  REQUIRE(std::ranges::equal(train.labels(), std::vector<std::int64_t>{0, 9, 1, 8, 2, 7, 3, 6, 4, 5}));
  REQUIRE(std::ranges::equal(test.labels(), std::vector<std::int64_t>{3, 0, 9}));
  for (std::int64_t i = 0; i < 10; ++i) require_image(train, i, static_cast<std::size_t>(i));
  for (std::int64_t i = 0; i < 3; ++i) require_image(test, i, static_cast<std::size_t>(100 + i));
  Context context{{.threads = 1}};
  for (const auto& [batch, labels] : test.batches(context, {.shuffle = false}))
    REQUIRE(batch.span<float>()[1] == Approx((pixel(100, 1, 0, 0) / 255.0 - 0.4822) / 0.2435).margin(1e-5));
}

TEST_CASE("cifar: CIFAR-100 has fine labels, and coarse ones where they are asked for") {
  const TempDir dir;
  write_cifar100(dir.path() / "cifar-100");
  const auto [train, test] = data::cifar100({.directory = dir.path().string()});
  REQUIRE(train.shape() == Shape{2, 32, 32, 3});
  REQUIRE(train.num_classes() == 100);
  REQUIRE(train.classes()[99] == "worm");
  REQUIRE(train.classes()[static_cast<std::size_t>(test.labels()[0])] == "aquarium_fish");
  REQUIRE(std::ranges::equal(train.labels(), std::vector<std::int64_t>{0, 99}));
  require_image(train, 1, 1);
  require_image(test, 0, 7);
  const data::Split coarse = data::cifar100({.directory = dir.path().string(), .coarse = true});
  REQUIRE(coarse.train.num_classes() == 20);
  REQUIRE(coarse.train.classes()[4] == "fruit_and_vegetables");
  REQUIRE(std::ranges::equal(coarse.train.labels(), std::vector<std::int64_t>{4, 19}));
  REQUIRE(coarse.test.classes()[static_cast<std::size_t>(coarse.test.labels()[0])] == "large_omnivores_and_herbivores");
  require_image(coarse.test, 0, 7);
}

TEST_CASE("cifar: the names of classes are complete, in order, and each once") {
  const TempDir dir;
  write_cifar10(dir.path());
  write_cifar100(dir.path());
  const std::string place = dir.path().string();
  for (const data::Split& split : {data::cifar10({.directory = place}), data::cifar100({.directory = place}),
                                   data::cifar100({.directory = place, .coarse = true})}) {
    std::vector<std::string> names = split.train.classes();
    REQUIRE(std::ranges::is_sorted(names));
    REQUIRE(std::ranges::adjacent_find(names) == names.end());
  }
}

TEST_CASE("cifar: compressed files") {
  const TempDir dir;
  write_cifar100(dir.path());
  write_file(dir / "train.bin.gz", gzip_bytes(read_file(dir / "train.bin")));
  std::filesystem::remove(dir / "train.bin");
  require_image(data::cifar100({.directory = dir.path().string()}).train, 1, 1);
}

TEST_CASE("cifar: bad files are refused with path, byte and reason") {
  const TempDir dir;
  const auto attempt = [&] { return data::cifar10({.directory = dir.path().string()}); };
  const auto attempt100 = [&] { return data::cifar100({.directory = dir.path().string()}); };
  write_cifar10(dir.path());
  write_cifar100(dir.path());
  const std::string path = dir / "data_batch_3.bin";
  const Bytes good = read_file(path);

  write_file(path, first(good, 3073 + 100));
  REQUIRE_THROWS_AS(attempt(), FileError);
  REQUIRE_THROWS_WITH(attempt(), contains("data_batch_3.bin: expected whole images of 3073 bytes, found 100 bytes at "
                                          "byte 3073"));
  write_file(path, good + Bytes{1});
  REQUIRE_THROWS_WITH(attempt(), contains("found 1 bytes at byte 6146"));
  write_file(path, Bytes{});
  REQUIRE_THROWS_WITH(attempt(), contains("expected whole images of 3073 bytes, found 0 bytes at byte 0"));

  Bytes bad = good;
  bad[3073] = 10;
  write_file(path, bad);
  REQUIRE_THROWS_WITH(attempt(), contains("expected labels from 0 to 9, found 10 at byte 3073, of image 1"));
  write_file(path, gzip_bytes(bad));
  REQUIRE_THROWS_WITH(attempt(), contains("found 10 at byte 3073, of image 1"));
  write_file(path, first(gzip_bytes(good), 40));
  REQUIRE_THROWS_AS(attempt(), FileError);

  write_file(dir / "test.bin", images(0, {{0, 0}, {20, 0}}));
  REQUIRE_THROWS_WITH(attempt100(), contains("expected coarse labels from 0 to 19, found 20 at byte 3074, of image 1"));
  write_file(dir / "test.bin", images(0, {{19, 100}}));
  REQUIRE_THROWS_WITH(attempt100(), contains("expected fine labels from 0 to 99, found 100 at byte 1, of image 0"));
  write_file(dir / "test.bin", good);  // CIFAR-10's
  REQUIRE_THROWS_AS(attempt100(), FileError);
}

TEST_CASE("cifar: where a file is missing, the error has every folder tried") {
  const TempDir dir;
  write_cifar10(dir.path());
  std::filesystem::remove(dir / "data_batch_4.bin");
  REQUIRE_THROWS_WITH(data::cifar10({.directory = dir.path().string()}),
                      contains("expected the 6 files of cifar-10, found none") &&
                          contains(dir.path().string() + " (has no data_batch_4.bin)") &&
                          contains(dir / "cifar-10-batches-bin (does not exist)") &&
                          contains(dir / "cifar-10 (does not exist)"));
}
