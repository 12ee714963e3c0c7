// The variance that the norm kernels find, held against long double over random rows.
#include <algorithm>
#include <cmath>

#include "kernels/norm_channels.h"
#include "kernels/norm_general.h"
#include "kernels/norm_rows.h"
#include "kernels/random.h"
#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

constexpr double kUnit = 0x1p-24;  // half the distance of floats near 1

// n floats around a mean that is 0 to 1e7 times the deviation, at any scale that float has.
std::vector<float> draw_row(std::uint64_t seed, std::size_t n) {
  const Philox philox(seed, 5), normal(seed, 6);
  const double off = philox.uniform(0) < 0.2 ? 0 : std::pow(10, -1 + 8 * philox.uniform(1));
  const double std = std::pow(10, -12 + 24 * philox.uniform(2));
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<float>(std * (off + normal_pair(normal, i)[0]));
  return x;
}

struct Exact {
  explicit Exact(std::span<const float> x) {
    for (float value : x) mean += static_cast<long double>(value) / static_cast<long double>(x.size());
    for (float value : x) {
      const long double apart = static_cast<long double>(value) - mean;
      variance += apart * apart / static_cast<long double>(x.size());
      largest = std::max(largest, std::abs(static_cast<long double>(value)));
    }
  }
  long double mean = 0, variance = 0, largest = 0;
};

}  // namespace

TEST_CASE("norm kernels: the variance is exact to two roundings of a float and never negative") {
  double rows = 0, channels = 0, any = 0, means = 0;  // the worst, in roundings
  for_each_target([&](const kernels::Device& device) {
    for (std::uint64_t seed = 1; seed <= 10000; ++seed) {
      const std::size_t n = 2 + Philox(seed).below(0, seed % 50 == 0 ? 20000 : seed % 2 == 0 ? 200 : 62);
      const std::vector<float> x = draw_row(seed, n);
      const Exact exact(x);
      constexpr double kEpsilon = 1e-30;
      std::vector<float> y(n);
      double row[2], channel[2], core[3];
      kernels::row_norm_forward(device, {.rows = 1, .n = n, .epsilon = kEpsilon}, {.x = x, .y = y, .stats = row});
      kernels::channel_norm_forward(device,
                                    {.batch = 1, .positions = n, .channels = 1, .groups = 1, .epsilon = kEpsilon},
                                    {.x = x, .y = y, .stats = channel});
      kernels::norm_moments(device, {.rows = 1, .n = n, .weight_rows = 1, .epsilon = kEpsilon, .center = true}, x, {},
                            core);
      REQUIRE((channel[1] >= 0 && core[1] >= 0 && row[1] > 0 && 1 / (row[1] * row[1]) >= kEpsilon * (1 - 1e-12)));
      count_case(device.target);
      if (exact.variance < 1e-24L) continue;
      const double variance = static_cast<double>(exact.variance), mean = static_cast<double>(exact.mean);
      const auto off = [&](double found) { return std::abs(found - variance) / variance / kUnit; };
      rows = std::max(rows, off(1 / (row[1] * row[1]) - kEpsilon));
      channels = std::max(channels, off(channel[1]));
      any = std::max(any, off(core[1]));
      for (double found : {row[0], channel[0], core[0]})
        means = std::max(means, std::abs(found - mean) / (kUnit * std::sqrt(variance) + 0x1p-48 * std::abs(mean)));
    }
  });
  INFO("rows " << rows << ", channels " << channels << ", any axes " << any << ", means " << means);
  REQUIRE((rows < 1e-4 && channels < 2 && any < 1e-4 && means < 2));
}

TEST_CASE("channel norm kernels: the variance of many channels is exact to two roundings of a float") {
  constexpr std::size_t kChannels = 128;
  for (const std::size_t positions : {3u, 49u, 63u, 64u, 65u, 100u, 196u, 500u, 767u, 768u, 784u, 1024u})
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
      std::vector<float> x(kChannels * positions), y(x.size());
      std::vector<double> expected;
      for (std::size_t c = 0; c < kChannels; ++c) {
        const std::vector<float> row = draw_row(1000 * seed + c, positions);
        for (std::size_t i = 0; i < positions; ++i) x[i * kChannels + c] = row[i];
        expected.push_back(static_cast<double>(Exact(row).variance));
      }
      for_each_target([&](const kernels::Device& device) {
        std::vector<double> stats(2 * kChannels);
        kernels::channel_norm_forward(
            device, {.batch = 1, .positions = positions, .channels = kChannels, .groups = kChannels, .epsilon = 1e-30},
            {.x = x, .y = y, .stats = stats});
        double worst = 0;
        for (std::size_t c = 0; c < kChannels; ++c)
          if (expected[c] >= 1e-24) worst = std::max(worst, std::abs(stats[2 * c + 1] - expected[c]) / expected[c]);
        INFO("positions " << positions << ", roundings " << worst / kUnit);
        REQUIRE(worst < 2 * kUnit);
        count_case(device.target);
      });
    }
}
