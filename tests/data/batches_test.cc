#include "data/batches.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "data/dataset.h"
#include "kernels/error.h"
#include "tests/catch.h"

using namespace tapestry;
using data::Dataset;

namespace {

// Bytes [n, 30, 40, 1] whose first two say the example's number; big enough for several chunks a batch.
Dataset numbered(std::int64_t n, std::int64_t channels = 1) {
  const auto length = static_cast<std::size_t>(1200 * channels);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(n) * length);
  std::vector<std::int64_t> labels(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    for (std::size_t j = 0; j < length; ++j) bytes[i * length + j] = static_cast<std::uint8_t>(i + 3 * j);
    bytes[i * length] = static_cast<std::uint8_t>(i % 256);
    bytes[i * length + 1] = static_cast<std::uint8_t>(i / 256);
    labels[i] = static_cast<std::int64_t>(i % 7);
  }
  return Dataset(std::move(bytes), {n, 30, 40, channels}, std::move(labels), {.mean = {0.25}, .std = {0.5}});
}

std::int64_t number_of(const Tensor& images, std::int64_t i) {
  const auto x = images.span<float>().subspan(static_cast<std::size_t>(i * 1200), 2);
  return std::lround(x[0] * 255) + 256 * std::lround(x[1] * 255);
}

// The numbers of the examples in the order in which they come.
std::vector<std::int64_t> order_of(const Dataset& set, Context& context, data::BatchOptions options) {
  options.normalize = false;
  std::vector<std::int64_t> order;
  for (const auto& [images, labels] : set.batches(context, options))
    for (std::int64_t i = 0; i < images.shape()[0]; ++i) {
      order.push_back(number_of(images, i));
      REQUIRE(labels.span<std::int64_t>()[static_cast<std::size_t>(i)] == order.back() % 7);
    }
  return order;
}

}  // namespace

TEST_CASE("batches: sizes") {
  Context context{{.threads = 2}};
  const Dataset set = numbered(300);
  for (const auto& [size, drop, expected] : {std::tuple{128, false, std::vector<std::int64_t>{128, 128, 44}},
                                             {128, true, {128, 128}},
                                             {150, true, {150, 150}},
                                             {300, false, {300}},
                                             {1000, false, {300}},
                                             {1000, true, {}}}) {
    std::vector<std::int64_t> sizes;
    data::Batches batches = set.batches(context, {.size = size, .drop_last = drop});
    for (const auto& batch : batches) {
      sizes.push_back(batch.images.shape()[0]);
      REQUIRE(batch.images.shape() == Shape{sizes.back(), 30, 40, 1});
      REQUIRE(batch.labels.shape() == Shape{sizes.back()});
    }
    REQUIRE(sizes == expected);
    REQUIRE(batches.size() == static_cast<std::int64_t>(expected.size()));
  }
  REQUIRE(set.take(0).batches(context).size() == 0);
  REQUIRE(set.take(0).batches(context).begin() == std::default_sentinel);
}

TEST_CASE("batches: each example once, in an order of seed and epoch alone") {
  Context context{{.threads = 1, .seed = 5}}, same{{.threads = 7, .seed = 5}}, other{{.threads = 1, .seed = 6}};
  const Dataset set = numbered(300);
  std::vector<std::int64_t> plain(300);
  for (std::size_t i = 0; i < 300; ++i) plain[i] = static_cast<std::int64_t>(i);
  REQUIRE(order_of(set, context, {.shuffle = false}) == plain);

  const auto first = order_of(set, context, {.size = 32, .epoch = 1});
  REQUIRE(first != plain);
  REQUIRE(std::ranges::is_permutation(first, plain));
  REQUIRE(order_of(set, same, {.size = 32, .epoch = 1}) == first);
  REQUIRE(order_of(set, context, {.size = 77, .epoch = 1}) == first);
  REQUIRE(order_of(set, context, {.size = 32, .epoch = 2}) != first);
  REQUIRE(order_of(set, other, {.size = 32, .epoch = 1}) != first);

  const auto part = order_of(set.slice(100, 200), context, {});
  REQUIRE(std::ranges::is_permutation(part, std::span(plain).subspan(100, 100)));
}

TEST_CASE("batches: every position is as likely for every example") {
  Context context{{.threads = 1}};
  const Dataset set = numbered(4);
  std::vector<int> counts(16);
  for (int epoch = 0; epoch < 4000; ++epoch) {
    const auto order = order_of(set, context, {.epoch = epoch});
    for (std::size_t i = 0; i < 4; ++i) ++counts[4 * i + static_cast<std::size_t>(order[i])];
  }
  for (const int count : counts) REQUIRE(std::abs(count - 1000) < 150);  // 5 standard deviations
}

TEST_CASE("batches: values") {
  Context context{{.threads = 3}};
  const Dataset set = numbered(100);
  for (const bool normalize : {false, true})
    for (const auto& [images, labels] : set.batches(context, {.shuffle = false, .normalize = normalize}))
      for (std::size_t i = 0; i < 100 * 1200; ++i) {
        const double value = set.bytes(static_cast<std::int64_t>(i / 1200))[i % 1200] / 255.0;
        const double expected = normalize ? (value - 0.25) / 0.5 : value;
        REQUIRE(std::abs(images.span<float>()[i] - expected) <= 2e-7);
      }
}

TEST_CASE("batches: a mean and std for each channel") {
  Context context{{.threads = 1}};
  const std::vector<std::uint8_t> bytes{0, 51, 255, 102, 153, 204};
  const Dataset set(bytes, {1, 1, 2, 3}, {0}, {.mean = {0, 0.5, 1}, .std = {1, 0.5, 2}});
  for (const auto& [images, labels] : set.batches(context)) {
    const std::vector<double> expected{0, -0.6, 0, 0.4, 0.2, -0.1};
    for (std::size_t i = 0; i < 6; ++i) REQUIRE(images.span<float>()[i] == Approx(expected[i]).margin(1e-6));
  }
}

TEST_CASE("batches: floats") {
  Context context{{.threads = 2}};
  const Tensor x = context.uniform({50, 3}, -5, 5, 1), y = context.full({50}, 0, DType::int64);
  const Dataset plain(x, y), scaled(x, y, {.mean = {1}, .std = {2}});
  for (const auto& [images, labels] : plain.batches(context, {.shuffle = false}))
    REQUIRE(std::ranges::equal(images.span<float>(), x.span<float>()));
  for (const auto& [images, labels] : scaled.batches(context, {.shuffle = false}))
    for (std::size_t i = 0; i < 150; ++i)
      REQUIRE(images.span<float>()[i] == Approx((x.span<float>()[i] - 1) / 2).margin(1e-6));
  for (const auto& [images, labels] : scaled.batches(context, {.shuffle = false, .normalize = false}))
    REQUIRE(std::ranges::equal(images.span<float>(), x.span<float>()));
}

TEST_CASE("batches: memory is used again, and a batch that is kept stays as it was") {
  Context context{{.threads = 1}};
  const Dataset set = numbered(200);
  std::vector<Tensor> kept;
  std::size_t live = 0;
  for (int epoch = 1; epoch <= 3; ++epoch) {
    for (const data::Batch& batch : set.batches(context, {.size = 50, .epoch = epoch, .normalize = false})) {
      REQUIRE(batch.images.size() == 50 * 1200);
      if (live == 0) live = context.memory().live_blocks;
      REQUIRE(context.memory().live_blocks == live);
    }
  }
  REQUIRE(context.memory().live_blocks == 0);
  for (const auto& [images, labels] : set.batches(context, {.size = 50, .shuffle = false, .normalize = false}))
    kept.push_back(images);
  for (std::int64_t i = 0; i < 200; ++i) REQUIRE(number_of(kept[static_cast<std::size_t>(i / 50)], i % 50) == i);
}

TEST_CASE("batches: refusals") {
  Context context{{.threads = 1}};
  const Dataset set = numbered(10);
  REQUIRE_THROWS_WITH(set.batches(context, {.size = 0}),
                      contains("batches_test.cc:") && contains("batches: size must be 1 or more, got 0"));
  REQUIRE_THROWS_AS(set.batches(context, {.size = -5}), ArgumentError);
  REQUIRE_THROWS_WITH(set.batches(context, {.epoch = -1}), contains("epoch must not be negative, got -1"));
}
