// Norms that pool what they give, against plain loops in double over the same norms, pooled afterwards.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/norm_channels.h"
#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;
using kernels::ChannelNormDims;
using kernels::NormWindows;

namespace {

struct PooledRun {
  PooledRun(const ChannelNormDims& dims, const NormWindows& windows, std::size_t misalignment = 0, float scale = 1)
      : dims(dims),
        windows(windows),
        x(dims.batch * dims.sample(), misalignment),
        dx(x.span().size(), misalignment),
        y(x.span().size() / windows.taps(), misalignment),
        dy(y.span().size(), misalignment),
        largest(y.span().size(), misalignment),
        taps(y.span().size(), misalignment),
        weight(dims.channels, misalignment),
        bias(dims.channels, misalignment),
        dweight(dims.channels, misalignment, 0.5f),
        dbias(dims.channels, misalignment, -0.5f),
        stats(2 * dims.batch * dims.groups) {
    fill_random(x.span(), dims.sample() + 1, -2 * scale, 3 * scale);
    fill_random(dy.span(), dims.sample() + 2);
    fill_random(weight.span(), dims.sample() + 3, -1.5, 1.5);
    fill_random(bias.span(), dims.sample() + 4);
    for (std::size_t i = 0; i < stats.size() && dims.frozen; ++i) stats[i] = 0.25 + static_cast<double>(i % 7);
  }

  void check(const kernels::Device& device) {
    INFO("batch " << dims.batch << " positions " << dims.positions << " channels " << dims.channels << " groups "
                  << dims.groups << " relu " << dims.relu << " frozen " << dims.frozen << " taps " << windows.taps());
    const auto wide_x = widened(x.span()), wide_dy = widened(dy.span()), wide_weight = widened(weight.span()),
               wide_bias = widened(bias.span());
    auto wide_dweight = widened(dweight.span()), wide_dbias = widened(dbias.span());
    std::vector<double> wide_y(wide_dy.size()), wide_largest(wide_dy.size()), wide_dx(wide_x.size()),
        wide_stats = stats;
    std::vector<std::uint8_t> wide_taps(wide_dy.size());
    const kernels::NormPool<double> wide_pool{&windows, wide_largest, wide_taps};
    kernels::channel_norm_forward(
        device, dims,
        {.x = wide_x, .weight = wide_weight, .bias = wide_bias, .y = wide_y, .stats = wide_stats, .pool = wide_pool});
    kernels::channel_norm_backward(device, dims,
                                   {.x = wide_x,
                                    .weight = wide_weight,
                                    .bias = wide_bias,
                                    .stats = wide_stats,
                                    .dy = wide_dy,
                                    .dx = wide_dx,
                                    .dweight = wide_dweight,
                                    .dbias = wide_dbias,
                                    .pool = wide_pool});

    const kernels::NormPool<float> pool{&windows, largest.span(), taps.span()};
    const auto floats = [](const auto& values) { return std::as_const(values).span(); };
    kernels::ChannelNormForward<float> forward{
        .x = floats(x), .weight = floats(weight), .bias = floats(bias), .y = y.span(), .stats = stats, .pool = pool};
    kernels::channel_norm_forward(device, dims, forward);
    kernels::channel_norm_backward(device, dims,
                                   {.x = floats(x),
                                    .weight = floats(weight),
                                    .bias = floats(bias),
                                    .stats = stats,
                                    .dy = floats(dy),
                                    .dx = dx.span(),
                                    .dweight = dweight.span(),
                                    .dbias = dbias.span(),
                                    .pool = pool});
    require_close(y.span(), wide_y, 2e-6);
    // A group of few numbers has a gradient of nearly nothing: there the error is measured against rstd itself.
    double rstd = 0;
    for (std::size_t i = 1; i < wide_stats.size(); i += 2)
      rstd = std::max(rstd, 1 / std::sqrt(wide_stats[i] + dims.epsilon));
    require_close(dx.span(), wide_dx, 2e-6, dims.positions * dims.group_size() < 16 ? 2 * rstd : 0);
    const double terms = std::max(4.0, std::sqrt(static_cast<double>(dims.positions)) / 4);
    require_close(dweight.span(), wide_dweight, 2e-6, terms);
    require_close(dbias.span(), wide_dbias, 2e-6, terms);
    for (std::size_t i = 0; i < wide_taps.size(); ++i) {
      if (dims.relu && wide_y[i] == 0) continue;  // no gradient flows, wherever the largest was
      const bool same = taps[i] == wide_taps[i] && static_cast<double>(largest[i]) == wide_largest[i];
      if (!same) FAIL("window " << i << ": tap " << int{taps[i]} << " instead of " << int{wide_taps[i]});
    }
    const std::vector<float> kept(y.span().begin(), y.span().end());
    forward.pool = {.windows = &windows};
    kernels::channel_norm_forward(device, dims, forward);
    REQUIRE(std::ranges::equal(y.span(), kept));
    REQUIRE((x.intact() && dx.intact() && y.intact() && dy.intact() && largest.intact() && taps.intact() &&
             weight.intact() && bias.intact() && dweight.intact() && dbias.intact()));
    count_case(device.target);
  }

  ChannelNormDims dims;
  NormWindows windows;
  Guarded<float> x, dx, y, dy, largest;
  Guarded<std::uint8_t> taps;
  Guarded<float> weight, bias, dweight, dbias;
  std::vector<double> stats;
};

ChannelNormDims dims_of(const NormWindows& windows, std::size_t images, std::size_t channels, bool batch_norm) {
  if (batch_norm) return {.batch = 1, .positions = images * windows.image(), .channels = channels, .groups = channels};
  return {.batch = images, .positions = windows.image(), .channels = channels, .groups = channels % 2 == 0 ? 2u : 1u};
}

}  // namespace

TEST_CASE("norm_windows: norms that pool match the reference on every target") {
  const NormWindows shapes[] = {{{1, 1, 4}, {1, 1, 2}},
                                {{1, 4, 6}, {1, 2, 2}},
                                {{1, 6, 3}, {1, 3, 1}},
                                {{4, 2, 6}, {2, 2, 2}},
                                {{1, 8, 8}, {1, 8, 8}}};
  for_each_target([&](const kernels::Device& device) {
    for (const NormWindows& windows : shapes)
      for (std::size_t channels : {1u, 2u, 3u, 15u, 16u, 17u, 40u})
        for (int option = 0; option < 8; ++option) {
          ChannelNormDims dims = dims_of(windows, 3, channels, option % 2 == 0);
          dims.relu = option / 2 % 2 == 1;
          dims.frozen = option / 4 == 1;
          PooledRun(dims, windows, kMisalignments[static_cast<std::size_t>(option) % 3]).check(device);
        }
  });
}

TEST_CASE("norm_windows: samples in several pieces, and numbers that floats cannot square") {
  const NormWindows windows{{1, 24, 20}, {1, 2, 2}};
  for_each_target([&](const kernels::Device& device) {
    for (bool batch_norm : {false, true}) {
      ChannelNormDims dims = dims_of(windows, 6, 48, batch_norm);
      dims.relu = true;
      PooledRun(dims, windows).check(device);
    }
    for (bool batch_norm : {false, true}) {
      ChannelNormDims dims = dims_of({{1, 4, 4}, {1, 2, 2}}, 2, 4, batch_norm);
      dims.relu = batch_norm;
      PooledRun(dims, {{1, 4, 4}, {1, 2, 2}}, 0, 1e20f).check(device);
    }
  });
}

TEST_CASE("norm_windows: what passes the caches by, and what may not") {
  for_each_target([&](const kernels::Device& device) {
    for (std::size_t channels : {16u, 24u}) {
      const NormWindows windows{{1, 64, 256}, {1, 2, 1}};
      ChannelNormDims dims = dims_of(windows, (std::size_t{1} << 21) / windows.image() / channels + 1, channels, true);
      dims.relu = dims.frozen = true;
      PooledRun test(dims, windows);
      for (float& value : test.x.span()) value = std::round(64 * value) / 64;  // equal, or clearly apart
      test.check(device);
    }
  });
}

TEST_CASE("norm_windows: a NaN is the largest, and of equal numbers the first") {
  const NormWindows windows{{1, 1, 6}, {1, 1, 3}};
  for_each_target([&](const kernels::Device& device) {
    std::vector<float> x{1, 2, 2, 5, std::numeric_limits<float>::quiet_NaN(), 7}, y(2), largest(2);
    std::vector<std::uint8_t> taps(2);
    std::vector<double> stats{0, 1};
    const ChannelNormDims dims{.batch = 1, .positions = 6, .channels = 1, .groups = 1, .frozen = true};
    kernels::channel_norm_forward(device, dims, {.x = x, .y = y, .stats = stats, .pool = {&windows, largest, taps}});
    REQUIRE((taps[0] == 1 && largest[0] == 2 && taps[1] == 1 && std::isnan(y[1])));
    count_case(device.target);
  });
}
