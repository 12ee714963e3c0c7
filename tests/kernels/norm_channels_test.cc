#include "kernels/norm_channels.h"

#include <cmath>
#include <limits>

#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;
using kernels::ChannelNormDims;

namespace {

struct Options {
  bool affine = true, residual = false, outputs = true;
};

// Forward and backward on one target, and the same numbers in double.
struct ChannelNormRun {
  explicit ChannelNormRun(const ChannelNormDims& dims, Options options = {}, std::size_t misalignment = 0)
      : dims(dims),
        options(options),
        x(dims.batch * dims.sample(), misalignment),
        y(x.span().size(), misalignment),
        dy(x.span().size(), misalignment),
        dx(options.outputs ? x.span().size() : 0, misalignment),
        residual(options.residual ? x.span().size() : 0, misalignment),
        dresidual(options.residual && options.outputs ? x.span().size() : 0, misalignment),
        weight(options.affine ? dims.channels : 0, misalignment),
        bias(options.affine ? dims.channels : 0, misalignment),
        dweight(options.affine ? dims.channels : 0, misalignment, 0.5f),
        dbias(options.affine ? dims.channels : 0, misalignment, -0.5f),
        stats(2 * dims.batch * dims.groups) {
    fill_random(x.span(), dims.sample() + 1, -2, 3);
    fill_random(dy.span(), dims.sample() + 2);
    fill_random(weight.span(), dims.sample() + 3, 0.5, 1.5);
    fill_random(bias.span(), dims.sample() + 4);
    fill_random(residual.span(), dims.sample() + 5);
    for (std::size_t i = 0; i < stats.size() && dims.frozen; ++i)
      stats[i] = 0.25 + static_cast<double>(i % 7) * (i % 2 == 0 ? -0.125 : 0.5);
  }

  void run(const kernels::Device& device) {
    kernels::channel_norm_forward(device, dims,
                                  {.x = std::as_const(x).span(),
                                   .weight = std::as_const(weight).span(),
                                   .bias = std::as_const(bias).span(),
                                   .residual = std::as_const(residual).span(),
                                   .y = y.span(),
                                   .stats = stats});
    kernels::channel_norm_backward(device, dims,
                                   {.x = std::as_const(x).span(),
                                    .weight = std::as_const(weight).span(),
                                    .bias = std::as_const(bias).span(),
                                    .stats = stats,
                                    .y = options.residual ? std::as_const(y).span() : std::span<const float>(),
                                    .dy = std::as_const(dy).span(),
                                    .dx = dx.span(),
                                    .dweight = dweight.span(),
                                    .dbias = dbias.span(),
                                    .dresidual = dresidual.span()});
    REQUIRE((x.intact() && y.intact() && dy.intact() && dx.intact() && weight.intact() && bias.intact() &&
             dweight.intact() && dbias.intact() && residual.intact() && dresidual.intact()));
  }

  void check(const kernels::Device& device) {
    INFO("batch " << dims.batch << " positions " << dims.positions << " channels " << dims.channels << " groups "
                  << dims.groups << " epsilon " << dims.epsilon << " relu " << dims.relu << " frozen " << dims.frozen
                  << " affine " << options.affine << " residual " << options.residual);
    const auto wide_x = widened(x.span()), wide_dy = widened(dy.span()), wide_weight = widened(weight.span()),
               wide_bias = widened(bias.span()), wide_residual = widened(residual.span());
    std::vector<double> wide_stats = stats, wide_y(wide_x.size()), wide_dx(dx.span().size()),
                        wide_dweight(widened(dweight.span())), wide_dbias(widened(dbias.span())),
                        wide_dresidual(dresidual.span().size());
    kernels::channel_norm_forward(device, dims,
                                  {.x = wide_x,
                                   .weight = wide_weight,
                                   .bias = wide_bias,
                                   .residual = wide_residual,
                                   .y = wide_y,
                                   .stats = wide_stats});
    kernels::channel_norm_backward(device, dims,
                                   {.x = wide_x,
                                    .weight = wide_weight,
                                    .bias = wide_bias,
                                    .stats = wide_stats,
                                    .y = options.residual ? std::span<const double>(wide_y) : std::span<const double>(),
                                    .dy = wide_dy,
                                    .dx = wide_dx,
                                    .dweight = wide_dweight,
                                    .dbias = wide_dbias,
                                    .dresidual = wide_dresidual});
    run(device);
    double scale = 1, largest = 0;
    for (double value : wide_y) scale = std::max(scale, std::abs(value) / 4);
    require_close(y.span(), wide_y, 1e-6, scale);
    for (std::size_t i = 1; i < stats.size(); i += 2)
      largest = std::max(largest, 1 / std::sqrt(wide_stats[i] + dims.epsilon));
    // A group of few numbers has a gradient of nearly nothing: there the error is measured against rstd itself.
    const std::size_t count = dims.positions * dims.group_size();
    require_close(dx.span(), wide_dx, 1e-6, count < 16 ? 1.5 * largest : 0);
    const double terms = std::sqrt(static_cast<double>(dims.batch * dims.positions));
    require_close(dweight.span(), wide_dweight, 1e-6, 4 + terms);
    require_close(dbias.span(), wide_dbias, 1e-6, 4 + terms);
    require_close(dresidual.span(), wide_dresidual, 1e-6);
    count_case(device.target);
  }

  ChannelNormDims dims;
  Options options;
  Guarded<float> x, y, dy, dx, residual, dresidual, weight, bias, dweight, dbias;
  std::vector<double> stats;
};

constexpr std::size_t kChannels[][2] = {{1, 1},  {2, 1},  {3, 3},   {4, 2},   {6, 3},   {10, 5},    {16, 4},  {17, 1},
                                        {18, 6}, {20, 4}, {24, 24}, {33, 11}, {64, 32}, {127, 127}, {130, 2}, {256, 8}};

}  // namespace

TEST_CASE("channel norm kernels: groups of any width at all sizes, on every target, against plain loops in double") {
  for_each_target([](const kernels::Device& device) {
    for (const auto& [channels, groups] : kChannels)
      for (std::size_t positions : {1u, 2u, 3u, 7u, 16u, 49u, 100u, 260u})
        for (std::size_t misalignment : kMisalignments) {
          if (misalignment > 0 && positions > 16) continue;
          const bool odd = (positions + channels + misalignment) % 2 == 1, third = (positions + channels) % 3 == 1;
          ChannelNormRun({.batch = 2, .positions = positions, .channels = channels, .groups = groups, .relu = odd},
                         {.affine = !third, .residual = third != odd}, misalignment)
              .check(device);
        }
    for (std::size_t size : awkward_sizes()) {
      ChannelNormRun({.batch = 2, .positions = size, .channels = 3, .groups = 3, .relu = true}).check(device);
      if (size > 0)
        ChannelNormRun({.batch = 1, .positions = 5, .channels = size, .groups = size}, {.residual = true})
            .check(device);
    }
  });
}

TEST_CASE("channel norm kernels: large samples in pieces, many small ones, and batches") {
  for_each_target([](const kernels::Device& device) {
    ChannelNormRun({.batch = 2, .positions = 3000, .channels = 48, .groups = 4, .relu = true}).check(device);
    ChannelNormRun({.batch = 9, .positions = 1500, .channels = 48, .groups = 4}, {.residual = true}).check(device);
    ChannelNormRun({.batch = 300, .positions = 4, .channels = 6, .groups = 2, .relu = true}).check(device);
    ChannelNormRun({.batch = 1, .positions = 20000, .channels = 10, .groups = 10, .relu = true}, {.residual = true})
        .check(device);
    ChannelNormRun({.batch = 0, .positions = 4, .channels = 6, .groups = 2}).check(device);
  });
}

TEST_CASE("channel norm kernels: tensors beyond the caches, aligned or not") {
  for_each_target([](const kernels::Device& device) {
    const ChannelNormDims one{.batch = 1, .positions = 16400, .channels = 64, .groups = 64, .relu = true};
    ChannelNormRun(one).check(device);
    ChannelNormRun(one, {.residual = true}, 1).check(device);
    ChannelNormRun({.batch = 12, .positions = 2750, .channels = 32, .groups = 8}, {.residual = true}).check(device);
  });
}

TEST_CASE("channel norm kernels: given statistics are constants, and outputs that nobody wants are left out") {
  for_each_target([](const kernels::Device& device) {
    for (const auto& [channels, groups] : kChannels)
      for (bool relu : {false, true})
        for (bool residual : {false, true}) {
          const ChannelNormDims dims{
              .batch = 1, .positions = 37, .channels = channels, .groups = channels, .relu = relu, .frozen = true};
          ChannelNormRun(dims, {.residual = residual}).check(device);
          ChannelNormRun(dims, {.residual = residual, .outputs = false}).check(device);
        }
  });
}

TEST_CASE("channel norm kernels: large means, huge numbers and tiny ones keep all digits") {
  constexpr struct {
    double mean, deviation;
  } cases[] = {{0, 1},    {1e4, 1e-2}, {1e6, 0.1}, {-1e7, 1},    {3e4, 1e-2},  {0, 1e19},  {0, 1e20},
               {0, 1e30}, {0, 7e37},   {0, 1e-3},  {1e-3, 1e-8}, {2e38, 1e36}, {0, 1e-12}, {0, 1e-20}};
  for_each_target([&](const kernels::Device& device) {
    for (const auto& c : cases)
      for (double epsilon : {1e-5, 1e-30})
        for (const auto& [positions, groups] : {std::pair{40u, 6u}, {1000u, 3u}, {13000u, 6u}}) {
          INFO("mean " << c.mean << " deviation " << c.deviation);
          ChannelNormRun test(
              {.batch = 2, .positions = positions, .channels = 6, .groups = groups, .epsilon = epsilon});
          const Philox philox(5, positions);
          for (std::size_t i = 0; i < test.x.span().size(); ++i)
            test.x[i] = static_cast<float>(c.mean + c.deviation * normal_pair(philox, i)[0]);
          test.check(device);
        }
  });
}

TEST_CASE("channel norm kernels: channels of a group may lie far apart, and one number may stand out") {
  for_each_target([](const kernels::Device& device) {
    for (float far : {1e3f, -1e6f, 1e12f})
      for (std::size_t row : {0u, 100u, 110u, 299u}) {  // sums start from the row at a third
        ChannelNormRun apart({.batch = 1, .positions = 300, .channels = 12, .groups = 3});
        for (std::size_t i = 0; i < apart.x.span().size(); ++i)
          if (i % 12 % 4 == 1) apart.x[i] += far;
        apart.check(device);
        ChannelNormRun alone({.batch = 1, .positions = 300, .channels = 12, .groups = 12});
        for (std::size_t c = 0; c < 12; c += 5) alone.x[row * 12 + c] = far;
        alone.check(device);
      }
  });
}

TEST_CASE("channel norm kernels: a group of equal numbers gives exactly the bias") {
  for_each_target([](const kernels::Device& device) {
    for (std::size_t positions : {1u, 3u, 64u, 1000u})
      for (float value : {0.0f, -0.0f, 0.1f, 3e4f, -1.7f, 1e-30f, 1e19f, 3.4e38f, -3.4e38f})
        for (double epsilon : {1e-5, 1e-20}) {
          ChannelNormRun test({.batch = 2, .positions = positions, .channels = 18, .groups = 6, .epsilon = epsilon});
          std::ranges::fill(test.x.span(), value);
          test.run(device);
          INFO("positions " << positions << " value " << value << " epsilon " << epsilon);
          for (std::size_t i = 0; i < test.x.span().size(); ++i) REQUIRE(test.y[i] == test.bias[i % 18]);
          count_case(device.target);
        }
  });
}

TEST_CASE("channel norm kernels: in double, too, a constant gradient of equal numbers leaves nothing") {
  const Context context{{.threads = 2}};
  for (const std::size_t positions : {3u, 10u, 100u, 1023u}) {
    const std::vector<double> x(positions * 4, 3e4), dy(x.size(), 0.1), weight(4, 1.1);  // no sum of 0.1 is exact
    std::vector<double> y(x.size()), dx(x.size(), 9), stats(4);
    const kernels::ChannelNormDims dims{
        .batch = 1, .positions = positions, .channels = 4, .groups = 2, .epsilon = 1e-5};
    kernels::channel_norm_forward(context.device(), dims, {.x = x, .weight = weight, .y = y, .stats = stats});
    kernels::channel_norm_backward(context.device(), dims,
                                   {.x = x, .weight = weight, .stats = stats, .dy = dy, .dx = dx});
    REQUIRE(std::ranges::count(dx, 0.0) == static_cast<std::ptrdiff_t>(dx.size()));
  }
}

TEST_CASE("channel norm kernels: a NaN or an infinity spoils its own group and no other") {
  for_each_target([](const kernels::Device& device) {
    for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
      for (bool relu : {false, true})
        for (std::size_t row : {0u, 7u, 22u})
          for (std::size_t channel = 0; channel < 6; ++channel) {
            ChannelNormRun test({.batch = 2, .positions = 23, .channels = 6, .groups = 3, .relu = relu});
            test.x[(23 + row) * 6 + channel] = bad;
            test.run(device);
            for (std::size_t i = 0; i < test.x.span().size(); ++i)
              REQUIRE(std::isnan(test.y[i]) == (i >= 23 * 6 && i % 6 / 2 == channel / 2));
            count_case(device.target);
          }
  });
}

TEST_CASE("channel norm kernels: positions that sums start from may be unlike all others") {
  for_each_target([](const kernels::Device& device) {
    ChannelNormRun test({.batch = 1, .positions = 20000, .channels = 3, .groups = 3});
    const Philox philox(5, 1);
    for (std::size_t i = 0; i < test.x.span().size(); ++i)
      test.x[i] = static_cast<float>(1e4 + normal_pair(philox, i)[0]);
    for (std::size_t i = 0; i < 20000; i += 625)  // among them the 16 that the first centers are the means of
      for (std::size_t c = 0; c < 3; ++c) test.x[i * 3 + c] = 0;
    test.check(device);
    for (std::size_t c = 0; c < 3; ++c) {
      double mean = 0, variance = 0;
      for (std::size_t i = 0; i < 20000; ++i) mean += static_cast<double>(test.x[3 * i + c]) / 20000;
      for (std::size_t i = 0; i < 20000; ++i)
        variance += std::pow(static_cast<double>(test.x[3 * i + c]) - mean, 2) / 20000;
      REQUIRE(test.stats[2 * c + 1] == Approx(variance).epsilon(0x1p-23));
    }
  });
}
