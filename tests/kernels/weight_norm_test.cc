#include "kernels/weight_norm.h"

#include <cmath>

#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;
using kernels::WeightNormDims;

namespace {

void check(const kernels::Device& device, const WeightNormDims& dims, std::size_t misalignment, double range,
           double offset = 0) {
  const std::size_t size = dims.outer * dims.features * dims.inner, features = dims.features;
  INFO("[" << dims.outer << ", " << features << ", " << dims.inner << "] center " << dims.center << " range " << range);
  Guarded<float> w(size, misalignment), y(size, misalignment), dy(size, misalignment), dw(size, misalignment),
      gain(features, misalignment), dgain(features, misalignment, 0.5f);
  Guarded<double> stats(3 * features, misalignment), wide_stats(3 * features);
  fill_random(w.span(), size + 1, offset - range, offset + range);
  fill_random(dy.span(), size + 2);
  fill_random(gain.span(), size + 3);
  const auto wide_w = widened(w.span()), wide_dy = widened(dy.span()), wide_gain = widened(gain.span());
  std::vector<double> expected(size), expected_gain(features, 0.5);
  using In = std::span<const double>;
  using Floats = std::span<const float>;
  kernels::weight_norm_forward(device, dims, In(wide_w), In(wide_gain), std::span<double>(expected), wide_stats.span());
  kernels::weight_norm_forward(device, dims, std::as_const(w).span(), std::as_const(gain).span(), y.span(),
                               stats.span());
  require_close(y.span(), expected, 1e-7);
  kernels::weight_norm_backward<double>(device, dims,
                                        {.w = wide_w,
                                         .gain = wide_gain,
                                         .stats = std::as_const(wide_stats).span(),
                                         .dy = wide_dy,
                                         .dw = expected,
                                         .dgain = expected_gain});
  kernels::WeightNormBackward<float> backward{.w = std::as_const(w).span(),
                                              .gain = std::as_const(gain).span(),
                                              .stats = std::as_const(stats).span(),
                                              .dy = std::as_const(dy).span(),
                                              .dw = dw.span(),
                                              .dgain = dgain.span()};
  kernels::weight_norm_backward(device, dims, backward);
  require_close(dw.span(), expected, 1e-7);
  require_close(dgain.span(), expected_gain, 1e-7);
  // What nobody wants is left alone, and the other is the same.
  Guarded<float> again(features, 0, 0.5f);
  backward.dw = {};
  backward.dgain = again.span();
  kernels::weight_norm_backward(device, dims, backward);
  REQUIRE(std::ranges::equal(again.span(), dgain.span()));
  kernels::weight_norm_forward(device, dims, std::as_const(w).span(), Floats(), y.span(), stats.span());
  kernels::weight_norm_forward(device, dims, In(wide_w), In(), std::span<double>(expected), wide_stats.span());
  require_close(y.span(), expected, 1e-7);
  REQUIRE((w.intact() && y.intact() && dy.intact() && dw.intact() && gain.intact() && dgain.intact()));
  REQUIRE((stats.intact() && wide_stats.intact()));
  count_case(device.target);
}

void check_spectral(const kernels::Device& device, std::size_t rows, std::size_t columns, double range) {
  INFO("[" << rows << ", " << columns << "] range " << range);
  Guarded<float> w(rows * columns, 1), u(columns, 3), v(rows, 1), y(rows * columns, 1), dy(rows * columns), dw(y);
  fill_random(w.span(), rows, -range, range);
  fill_random(u.span(), columns);
  fill_random(dy.span(), rows + columns);
  const auto wide_w = widened(w.span()), wide_dy = widened(dy.span());
  // In the words of the formula.
  std::vector<double> a = widened(u.span()), b(rows), product(columns);
  const auto unit = [](std::vector<double>& x) {
    double squares = 0;
    for (double value : x) squares += value * value;
    for (double& value : x) value /= std::sqrt(squares);
  };
  for (int n = 0; n < 2; ++n) {
    for (std::size_t r = 0; r < rows; ++r) {
      b[r] = 0;
      for (std::size_t c = 0; c < columns; ++c) b[r] += wide_w[r * columns + c] * a[c];
    }
    unit(b);
    std::ranges::fill(a, 0);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < columns; ++c) a[c] += wide_w[r * columns + c] * b[r];
    unit(a);
  }
  double sigma = 0, dot = 0;
  for (std::size_t i = 0; i < wide_w.size(); ++i) {
    sigma += wide_w[i] * b[i / columns] * a[i % columns];
    dot += wide_w[i] * wide_dy[i];
  }
  std::vector<double> expected(wide_w.size());
  using Floats = std::span<const float>;
  kernels::power_iterations(device, 2, 1e-12, Floats(w.span()), u.span(), v.span());
  require_close(u.span(), a, 1e-6);
  require_close(v.span(), b, 1e-6);
  const double found = kernels::bilinear(device, Floats(w.span()), Floats(u.span()), Floats(v.span()));
  REQUIRE(found / sigma == Approx(1).epsilon(1e-6));
  kernels::spectral_forward(device, found, Floats(w.span()), y.span());
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = wide_w[i] / sigma;
  require_close(y.span(), expected, 1e-6);
  kernels::spectral_backward<float>(device, found,
                                    {.w = w.span(), .u = u.span(), .v = v.span(), .dy = dy.span(), .dw = dw.span()});
  for (std::size_t i = 0; i < expected.size(); ++i)
    expected[i] = wide_dy[i] / sigma - dot / sigma / sigma * b[i / columns] * a[i % columns];
  require_close(dw.span(), expected, 1e-6);
  REQUIRE((w.intact() && u.intact() && v.intact() && y.intact() && dy.intact() && dw.intact()));
  count_case(device.target);
}

}  // namespace

TEST_CASE("weight norm kernels: sizes, centered and not, in float against double") {
  for_each_target([](const kernels::Device& device) {
    for (bool center : {false, true}) {
      for (std::size_t size : awkward_sizes()) {
        if (size == 0 || size > 1100) continue;
        for (std::size_t misalignment : kMisalignments)
          check(device, {.outer = 7, .features = size, .center = center, .epsilon = 1e-4}, misalignment, 2);
        check(device, {.outer = size, .features = 3, .center = center, .epsilon = 1e-4}, 1, 2);
        check(device, {.outer = 2, .features = 5, .inner = size, .center = center, .epsilon = 1e-4}, 0, 2);
      }
      check(device, {.outer = 500, .features = 300, .center = center}, 0, 2);
      for (double range : {1e-19, 1e-3, 1e10, 1e19})
        check(device, {.outer = 9, .features = 4, .inner = 2, .center = center}, 0, range);
      check(device, {.outer = 90, .features = 4, .center = center}, 0, 0.1, 1e4);
    }
  });
}

TEST_CASE("weight norm kernels: a weight far from zero is centered in full, a constant one gives zeros") {
  for_each_target([](const kernels::Device& device) {
    for (float constant : {0.0f, 0.1f, -7.3f, 1e19f, 3e38f}) {
      const WeightNormDims dims{.outer = 37, .features = 3, .center = true, .epsilon = 1e-4};
      std::vector<float> w(37 * 3, constant), y(w), dw(w), dy(w.size(), 1), dgain(3, 0);
      std::vector<double> stats(9);
      kernels::weight_norm_forward(device, dims, std::span<const float>(w), {}, std::span(y), std::span(stats));
      for (float value : y) REQUIRE(value == 0);
      kernels::weight_norm_backward<float>(device, dims, {.w = w, .stats = stats, .dy = dy, .dw = dw, .dgain = dgain});
      for (float value : dw) REQUIRE(value == 0);
      count_case(device.target);
    }
  });
}

TEST_CASE("spectral norm kernels: the iteration, the norm and its gradient against their formulas") {
  for_each_target([](const kernels::Device& device) {
    for (std::size_t columns : {1u, 2u, 3u, 7u, 16u, 33u, 250u})
      for (std::size_t rows : {1u, 2u, 5u, 31u, 64u, 400u}) check_spectral(device, rows, columns, 1);
    for (double range : {1e-9, 1e-5, 1e10, 1e19, 1e30}) check_spectral(device, 12, 5, range);
  });
}

TEST_CASE("weight norm kernels: the same bits at any number of threads") {
  Context one{{.threads = 1}}, seven{{.threads = 7}};
  std::vector<float> w(600 * 200), dy(w.size());
  fill_random(w, 1);
  fill_random(dy, 2);
  const auto run = [&](const kernels::Device& device) {
    using Floats = std::span<const float>;
    const WeightNormDims dims{.outer = 600, .features = 200, .center = true};
    std::vector<float> y(w.size()), dw(w.size()), dgain(200), u(200, 1), v(600), dm(w.size());
    std::vector<double> stats(600);
    kernels::weight_norm_forward(device, dims, Floats(w), {}, std::span(y), std::span(stats));
    kernels::weight_norm_backward<float>(device, dims, {.w = w, .stats = stats, .dy = dy, .dw = dw, .dgain = dgain});
    kernels::power_iterations(device, 3, 1e-12, Floats(w), std::span(u), std::span(v));
    const double sigma = kernels::bilinear(device, Floats(w), Floats(u), Floats(v));
    kernels::spectral_backward<float>(device, sigma, {.w = w, .u = u, .v = v, .dy = dy, .dw = dm});
    for (const auto& part : {dw, dgain, u, v, dm}) y.insert(y.end(), part.begin(), part.end());
    return y;
  };
  REQUIRE(run(one.device()) == run(seven.device()));
}
