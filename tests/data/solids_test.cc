#include "data/solids.h"

#include <algorithm>
#include <cmath>

#include "kernels/error.h"
#include "tests/catch.h"

using namespace tapestry;

namespace {

// Voxels that are more than half full, without noise.
std::int64_t volume(const data::Dataset& solids, std::int64_t i) {
  return std::ranges::count_if(solids.bytes(i), [](std::uint8_t voxel) { return voxel > 76; });
}

}  // namespace

TEST_CASE("solids: examples are volumes of ten classes in turn, and a function of seed and number") {
  const auto [train, test] = data::solids({.train = 23, .test = 10, .seed = 4});
  REQUIRE(train.shape() == Shape{23, 16, 28, 28, 1});
  REQUIRE(test.shape() == Shape{10, 16, 28, 28, 1});
  REQUIRE(train.num_classes() == 10);
  REQUIRE(train.classes()[4] == "torus");
  for (std::int64_t i = 0; i < 23; ++i) REQUIRE(train.labels()[static_cast<std::size_t>(i)] == i % 10);

  const data::Split more = data::solids({.train = 30, .test = 0, .seed = 4}),
                    other = data::solids({.train = 1, .seed = 5});
  for (std::int64_t i = 0; i < 23; ++i) REQUIRE(std::ranges::equal(train.bytes(i), more.train.bytes(i)));
  REQUIRE_FALSE(std::ranges::equal(train.bytes(0), other.train.bytes(0)));
  REQUIRE_FALSE(std::ranges::equal(train.bytes(0), train.bytes(10)));
  REQUIRE_FALSE(std::ranges::equal(train.bytes(0), test.bytes(0)));
  REQUIRE(more.test.size() == 0);
}

TEST_CASE("solids: each one lies within its volume, and has the size of its kind") {
  const data::Dataset solids = data::solids({.train = 60, .test = 0, .noise = 0}).train;
  // The volume of each kind where a ball of radius 1.1 just fits the depth of 16.
  const double whole[] = {3.59, 2.0, 1.92, 1.19, 1.08, 0.96, 1.77, 0.865, 1.25, 2.09};
  const double voxels = std::pow(16 / 2.2, 3);
  for (std::int64_t i = 0; i < solids.size(); ++i) {
    const auto bytes = solids.bytes(i);
    const double share = static_cast<double>(volume(solids, i)) / (whole[i % 10] * voxels);
    INFO(solids.classes()[static_cast<std::size_t>(i % 10)] << " " << i << ": " << share);
    CHECK(share > 0.8 * 0.7 * 0.7 * 0.7);
    CHECK(share < 1.2);
    for (std::size_t y = 0; y < 28; ++y)
      for (std::size_t x = 0; x < 28; ++x)
        for (std::size_t z : {std::size_t{0}, std::size_t{15}}) CHECK(bytes[(z * 28 + y) * 28 + x] < 140);
  }
}

TEST_CASE("solids: batches are normalized by the training examples") {
  Context context{{.threads = 1}};
  const data::Dataset train = data::solids({.train = 50, .test = 0, .noise = 0.5}).train;
  for (const auto& [x, labels] : train.batches(context, {.size = 50})) {
    const auto values = x.span<float>();
    double sum = 0, squares = 0;
    for (const double value : values) {
      sum += value;
      squares += value * value;
    }
    CHECK(std::abs(sum / static_cast<double>(values.size())) < 1e-4);
    CHECK(std::abs(squares / static_cast<double>(values.size()) - 1) < 1e-3);
  }
}

TEST_CASE("solids: bad options are refused") {
  REQUIRE_THROWS_WITH(data::solids({.depth = 7}),
                      contains("solids_test.cc:") && contains("solids: depth, height and width must be 8 or more"));
  REQUIRE_THROWS_AS(data::solids({.depth = 7}), ArgumentError);
  REQUIRE_THROWS_WITH(data::solids({.train = -1}), contains("there cannot be -1 and 1000 examples"));
  REQUIRE_THROWS_WITH(data::solids({.noise = std::nan("")}), contains("noise must be in [0, 1]; it is nan"));
  REQUIRE_THROWS_WITH(data::solids({.noise = 1.5}), contains("it is 1.5"));
  REQUIRE_THROWS_AS(data::solids({.train = std::int64_t{1} << 50}), ShapeError);
}
