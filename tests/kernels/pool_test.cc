#include "kernels/pool.h"

#include <cmath>

#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;
using kernels::PoolDims;

namespace {

using Sizes3 = PoolDims::Axes;

PoolDims sliding(Sizes3 in, Sizes3 kernel, Sizes3 stride, Sizes3 pad, Sizes3 dilation = {1, 1, 1}, bool ceil = false) {
  PoolDims d{.batch = 2, .in = in, .kernel = kernel, .stride = stride, .dilation = dilation, .pad = pad};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const std::size_t free = in[axis] + 2 * pad[axis] - dilation[axis] * (kernel[axis] - 1) - 1;
    d.out[axis] = (free + (ceil ? stride[axis] - 1 : 0)) / stride[axis] + 1;
    if (ceil && (d.out[axis] - 1) * stride[axis] >= in[axis] + pad[axis]) --d.out[axis];
  }
  return d;
}

PoolDims adaptive(Sizes3 in, Sizes3 out) {
  PoolDims d{.batch = 2, .in = in, .out = out, .adaptive = true};
  for (std::size_t axis = 0; axis < 3; ++axis) d.kernel[axis] = std::min(in[axis] / out[axis] + 2, in[axis]);
  return d;
}

std::vector<PoolDims> forms() {
  return {
      sliding({1, 1, 7}, {1, 1, 2}, {1, 1, 2}, {0, 0, 0}),                   // a position left over
      sliding({1, 1, 7}, {1, 1, 2}, {1, 1, 2}, {0, 0, 0}, {1, 1, 1}, true),  // a window cut off
      sliding({1, 1, 9}, {1, 1, 2}, {1, 1, 4}, {0, 0, 0}),                   // gaps
      sliding({1, 6, 6}, {1, 2, 2}, {1, 2, 2}, {0, 0, 0}),                   //
      sliding({1, 7, 5}, {1, 3, 3}, {1, 2, 2}, {0, 1, 1}),                   // overlaps
      sliding({1, 5, 6}, {1, 3, 2}, {1, 1, 1}, {0, 1, 0}),                   //
      sliding({1, 8, 9}, {1, 2, 3}, {1, 1, 2}, {0, 1, 1}, {1, 3, 2}),        // dilated
      sliding({1, 8, 8}, {1, 3, 3}, {1, 3, 3}, {0, 1, 1}, {1, 1, 1}, true),  //
      sliding({1, 1, 2}, {1, 1, 2}, {1, 1, 1}, {0, 0, 2}, {1, 1, 4}),        // windows with nothing inside
      sliding({4, 5, 6}, {2, 2, 2}, {2, 2, 2}, {0, 0, 0}),                   //
      sliding({3, 4, 5}, {3, 2, 3}, {1, 2, 1}, {1, 1, 1}),                   //
      sliding({1, 17, 16}, {1, 17, 16}, {1, 1, 1}, {0, 0, 0}),               // 272 taps
      sliding({1, 16, 16}, {1, 16, 16}, {1, 1, 1}, {0, 0, 0}),               // 256
      sliding({1, 40, 33}, {1, 3, 3}, {1, 2, 2}, {0, 1, 1}),                 // several chunks
      adaptive({1, 1, 10}, {1, 1, 3}),
      adaptive({1, 7, 5}, {1, 3, 8}),
      adaptive({1, 6, 6}, {1, 3, 2}),
      adaptive({3, 5, 4}, {2, 1, 3}),
      adaptive({1, 9, 8}, {1, 1, 1}),
      adaptive({1, 30, 11}, {1, 1, 1}),
  };
}

constexpr std::size_t kChannels[] = {1, 3, 7, 8, 16, 17, 33, 64, 101};

enum class Numbers { plain, ties, special };

void fill(std::span<float> x, Numbers numbers, std::uint64_t seed) {
  fill_random(x, seed);
  for (std::size_t i = 0; i < x.size() && numbers != Numbers::plain; ++i) {
    x[i] = std::round(x[i] * 3);
    if (numbers != Numbers::special) continue;
    if (i % 7 == 3) x[i] = INFINITY;
    if (i % 2 == 1 || i % 10 == 4) x[i] = -INFINITY;
    if (i % 41 == 40) x[i] = NAN;
  }
}

bool same(float a, double b) { return std::isnan(b) ? std::isnan(a) : static_cast<double>(a) == b; }

template <class Index>
void test_max(const kernels::Device& device, const PoolDims& d, std::size_t misalignment, Numbers numbers) {
  Guarded<float> x(d.x_size(), misalignment), y(d.y_size(), misalignment), dy(d.y_size(), misalignment),
      dx(d.x_size(), misalignment, 9.0f);
  Guarded<Index> taps(d.y_size(), misalignment);
  fill(x.span(), numbers, d.x_size());
  fill_random(dy.span(), d.y_size());
  const std::vector<double> wide_x = widened(x.span()), wide_dy = widened(dy.span());
  std::vector<double> expected(d.y_size()), expected_dx(d.x_size());
  std::vector<Index> expected_taps(d.y_size());
  kernels::max_pool_forward(device, d, std::span(wide_x), std::span(expected), std::span(expected_taps));
  kernels::max_pool_forward(device, d, std::as_const(x).span(), y.span(), taps.span());
  for (std::size_t i = 0; i < d.y_size(); ++i) {
    if (!same(y[i], expected[i])) REQUIRE(static_cast<double>(y[i]) == expected[i]);
    if (taps[i] != expected_taps[i]) REQUIRE(static_cast<int>(taps[i]) == static_cast<int>(expected_taps[i]));
  }
  kernels::max_pool_backward(device, d, std::span(std::as_const(expected_taps)), std::span(wide_dy),
                             std::span(expected_dx));
  kernels::max_pool_backward(device, d, std::as_const(taps).span(), std::as_const(dy).span(), dx.span());
  require_close(dx.span(), expected_dx, 1e-6);
  std::ranges::fill(y.span(), 9.0f);
  kernels::max_pool_forward(device, d, std::as_const(x).span(), y.span(), std::span<Index>());
  for (std::size_t i = 0; i < d.y_size(); ++i)
    if (!same(y[i], expected[i])) REQUIRE(static_cast<double>(y[i]) == expected[i]);
  REQUIRE((x.intact() && y.intact() && taps.intact() && dy.intact() && dx.intact()));
  count_case(device.target);
}

void test_avg(const kernels::Device& device, const PoolDims& d, std::size_t misalignment) {
  Guarded<float> x(d.x_size(), misalignment), y(d.y_size(), misalignment), dy(d.y_size(), misalignment),
      dx(d.x_size(), misalignment, 9.0f);
  fill_random(x.span(), d.x_size());
  fill_random(dy.span(), d.y_size());
  std::vector<double> expected(d.y_size()), expected_dx(d.x_size());
  kernels::avg_pool_forward(device, d, widened(x.span()), expected);
  kernels::avg_pool_forward(device, d, std::as_const(x).span(), y.span());
  require_close(y.span(), expected, 1e-6,
                d.taps() > 64 ? static_cast<double>(d.taps()) / (d.divisor == 0 ? 256 : 3) : 0);
  kernels::avg_pool_backward(device, d, widened(dy.span()), expected_dx);
  kernels::avg_pool_backward(device, d, std::as_const(dy).span(), dx.span());
  require_close(dx.span(), expected_dx, 1e-6);
  REQUIRE((x.intact() && y.intact() && dy.intact() && dx.intact()));
  count_case(device.target);
}

// Calls body(dims, misalignment) for all forms, channels and alignments, and for no images at all.
template <class Body>
void for_forms(const Body& body) {
  for (PoolDims d : forms())
    for (std::size_t channels : kChannels)
      for (std::size_t misalignment : kMisalignments) {
        d.channels = channels;
        INFO("in " << d.in[0] << " " << d.in[1] << " " << d.in[2] << " out " << d.out[0] << " " << d.out[1] << " "
                   << d.out[2] << " channels " << channels << " misalignment " << misalignment);
        body(d, misalignment);
      }
  PoolDims none = forms().front();
  none.batch = 0;
  body(none, 0);
  none.batch = 2;
  none.channels = 0;
  body(none, 0);
}

}  // namespace

TEST_CASE("max_pool: every target, form, number of channels and alignment against plain loops in double") {
  for_each_target([](const kernels::Device& device) {
    for_forms([&](const PoolDims& d, std::size_t misalignment) {
      for (Numbers numbers : {Numbers::plain, Numbers::ties, Numbers::special}) {
        if (d.taps() <= 256) test_max<std::uint8_t>(device, d, misalignment, numbers);
        if (misalignment != 3) test_max<std::int32_t>(device, d, misalignment, numbers);
      }
    });
  });
}

TEST_CASE("avg_pool: every target, form, number of channels and alignment against plain loops in double") {
  for_each_target([](const kernels::Device& device) {
    for_forms([&](PoolDims d, std::size_t misalignment) {
      test_avg(device, d, misalignment);
      if (d.adaptive || misalignment == 3 || d.dilation != Sizes3{1, 1, 1}) return;
      d.count_include_pad = false;
      test_avg(device, d, misalignment);
      d.divisor = -3;
      test_avg(device, d, misalignment);
    });
  });
}

TEST_CASE("avg_pool: the mean of a long window is as good as its numbers") {
  for_each_target([](const kernels::Device& device) {
    const PoolDims d{.batch = 1, .channels = 3, .in = {1, 1, 100003}, .kernel = {1, 1, 100003}};
    std::vector<float> x(d.x_size()), y(3);
    std::vector<double> expected(3);
    fill_random(x, 5, 0.5, 1.5);
    kernels::avg_pool_forward(device, d, widened(x), expected);
    kernels::avg_pool_forward(device, d, std::as_const(x), y);
    require_close(y, expected, 4e-6);
    count_case(device.target);
  });
}

TEST_CASE("pool: a NaN or an infinity in dy reaches its own element alone") {
  for_each_target([](const kernels::Device& device) {
    PoolDims d = sliding({1, 1, 6}, {1, 1, 2}, {1, 1, 2}, {0, 0, 0});
    d.batch = 1;
    d.channels = 17;
    std::vector<float> x(d.x_size(), 1), y(d.y_size()), dy(d.y_size(), 2), dx(d.x_size());
    std::vector<std::uint8_t> taps(d.y_size());
    dy[17] = NAN;
    dy[16] = INFINITY;
    kernels::max_pool_forward(device, d, std::span(std::as_const(x)), std::span(y), std::span(taps));
    kernels::max_pool_backward(device, d, std::span(std::as_const(taps)), std::span(std::as_const(dy)), std::span(dx));
    for (std::size_t i = 0; i < dx.size(); ++i) {
      if (i == 2 * 17) {
        REQUIRE(std::isnan(dx[i]));
      } else {
        REQUIRE(dx[i] == (i == 16 ? INFINITY : i / 17 % 2 == 0 ? 2.0f : 0.0f));
      }
    }
    count_case(device.target);
  });
}
