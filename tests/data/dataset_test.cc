#include "data/dataset.h"

#include <cmath>
#include <limits>

#include "kernels/error.h"
#include "tests/catch.h"

using namespace tapestry;
using data::Dataset;

namespace {

Dataset numbered(std::int64_t n) {  // images [n, 2, 3, 1] of bytes, labels i % 4
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(n) * 6);
  std::vector<std::int64_t> labels(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i);
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int64_t>(i % 4);
  return Dataset(std::move(bytes), {n, 2, 3, 1}, std::move(labels));
}

}  // namespace

TEST_CASE("dataset: parts share the examples") {
  const Dataset all = numbered(10);
  REQUIRE(all.size() == 10);
  REQUIRE(all.shape() == Shape{10, 2, 3, 1});
  REQUIRE(all.sample_shape() == Shape{2, 3, 1});
  REQUIRE(all.num_classes() == 4);
  REQUIRE(all.classes()[3] == "3");
  const Dataset middle = all.slice(3, 8), two = middle.slice(1, 3);
  REQUIRE(two.shape() == Shape{2, 2, 3, 1});
  REQUIRE(two.bytes(0).data() == all.bytes(4).data());
  REQUIRE(two.labels()[1] == 1);
  REQUIRE(all.take(0).size() == 0);
  REQUIRE(all.take(10).size() == 10);
  REQUIRE_THROWS_WITH(all.take(11),
                      contains("dataset_test.cc:") && contains("dataset: [0, 11) is no part of 10 examples"));
  REQUIRE_THROWS_AS(all.slice(-1, 2), ArgumentError);
  REQUIRE_THROWS_AS(all.slice(3, 2), ArgumentError);
  REQUIRE_THROWS_WITH(two.bytes(2), contains("example 2 is outside [0, 2)"));
  REQUIRE_THROWS_AS(two.bytes(-1), ArgumentError);
  REQUIRE_THROWS_WITH(all.floats(0), contains("the examples are bytes"));
}

TEST_CASE("dataset: one that holds nothing") {
  const Dataset empty;
  REQUIRE(empty.size() == 0);
  REQUIRE_THROWS_AS(empty.shape(), ArgumentError);
  REQUIRE_THROWS_AS(empty.labels(), ArgumentError);
  Context context{{.threads = 1}};
  REQUIRE_THROWS_WITH(empty.batches(context), contains("it holds nothing yet"));
}

TEST_CASE("dataset: from tensors") {
  Context context{{.threads = 1}};
  const Tensor x = context.uniform({5, 7}, -1, 1, 1);
  const std::vector<std::int64_t> labels{0, 1, 2, 1, 0};
  const Tensor y = context.tensor(Shape{5}, std::span<const std::int64_t>(labels));
  const Dataset set(x, y, {.name = "rows", .classes = {"a", "b", "c"}});
  REQUIRE(set.shape() == Shape{5, 7});
  REQUIRE(set.name() == "rows");
  REQUIRE(set.floats(2)[3] == x.span<float>()[17]);
  REQUIRE_THROWS_AS(set.bytes(0), ArgumentError);
  REQUIRE_THROWS_WITH(Dataset(y, y), contains("needs float32 examples and int64 labels, got int64 and int64"));
  REQUIRE_THROWS_WITH(Dataset(x, Tensor()), contains("got float32 and nothing"));
  REQUIRE_THROWS_WITH(Dataset(context.zeros({4, 7}), y), contains("4 examples, but 5 labels"));
  REQUIRE_THROWS_WITH(Dataset(context.zeros({5}), y), contains("2 axes or more; they are [5]"));
}

TEST_CASE("dataset: refusals") {
  const std::vector<std::uint8_t> bytes(12);
  const Shape shape{2, 2, 1, 3};
  const std::vector<std::int64_t> good{0, 1};
  REQUIRE_NOTHROW(Dataset(bytes, shape, good, {.mean = {0.1, 0.2, 0.3}, .std = {1, 2, 3}}));
  REQUIRE_THROWS_AS(Dataset(bytes, {2, 2, 2, 3}, good), ShapeError);
  REQUIRE_THROWS_WITH(Dataset(bytes, {2, 2, 2, 3}, good), contains("[2, 2, 2, 3] needs 24 numbers, got 12"));
  REQUIRE_THROWS_WITH(Dataset(bytes, shape, {0}), contains("2 examples, but 1 labels"));
  REQUIRE_THROWS_WITH(Dataset(bytes, shape, {0, -1}), contains("label -1 of example 1 is outside [0, 1)"));
  REQUIRE_THROWS_WITH(Dataset(bytes, shape, {0, 3}, {.classes = {"a", "b"}}),
                      contains("label 3 of example 1 is outside [0, 2)"));
  REQUIRE_THROWS_WITH(Dataset(bytes, shape, {0, std::int64_t{1} << 40}), contains("more than 2^20 classes"));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const std::vector<double>& wrong : {std::vector<double>{}, {1, 2}, {nan}, {1, 1, INFINITY}}) {
    REQUIRE_THROWS_AS(Dataset(bytes, shape, good, {.mean = wrong}), ArgumentError);
    REQUIRE_THROWS_AS(Dataset(bytes, shape, good, {.std = wrong}), ArgumentError);
  }
  REQUIRE_THROWS_WITH(Dataset(bytes, shape, good, {.std = {0}}), contains("std must be finite and above 0, got 0"));
  REQUIRE_THROWS_AS(Dataset(bytes, shape, good, {.std = {1e-300}}), ArgumentError);
  REQUIRE_THROWS_WITH(Dataset(bytes, shape, good, {.mean = {1, 2}}), contains("mean needs 1 or 3 numbers, got 2"));
}
