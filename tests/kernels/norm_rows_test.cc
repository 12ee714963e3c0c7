#include "kernels/norm_rows.h"

#include <cmath>
#include <limits>

#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;
using kernels::RowNormDims;

namespace {

// Forward and backward on one target, and the same numbers in double.
struct RowNormRun {
  RowNormRun(const RowNormDims& dims, bool affine, std::size_t misalignment = 0, bool with_residual = false)
      : dims(dims),
        x(dims.rows * dims.n, misalignment),
        y(dims.rows * dims.n, misalignment),
        dy(dims.rows * dims.n, misalignment),
        dx(dims.rows * dims.n, misalignment),
        residual(with_residual ? dims.rows * dims.n : 0, misalignment),
        dresidual(with_residual ? dims.rows * dims.n : 0, misalignment),
        weight(affine ? dims.n : 0, misalignment),
        bias(affine ? dims.n : 0, misalignment),
        dweight(affine ? dims.n : 0, misalignment, 0.5f),
        dbias(affine ? dims.n : 0, misalignment, -0.5f),
        stats(2 * dims.rows) {
    fill_random(x.span(), dims.n + 1);
    fill_random(dy.span(), dims.n + 2);
    fill_random(weight.span(), dims.n + 3, 0.5, 1.5);
    fill_random(bias.span(), dims.n + 4);
    fill_random(residual.span(), dims.n + 5);
  }

  void run(const kernels::Device& device) {
    kernels::row_norm_forward(device, dims,
                              {.x = std::as_const(x).span(),
                               .weight = std::as_const(weight).span(),
                               .bias = std::as_const(bias).span(),
                               .residual = std::as_const(residual).span(),
                               .y = y.span(),
                               .stats = stats});
    const bool saved = residual.span().size() > 0;
    kernels::row_norm_backward(device, dims,
                               {.x = std::as_const(x).span(),
                                .weight = std::as_const(weight).span(),
                                .bias = std::as_const(bias).span(),
                                .stats = stats,
                                .y = saved ? std::as_const(y).span() : std::span<const float>(),
                                .dy = std::as_const(dy).span(),
                                .dx = dx.span(),
                                .dweight = dweight.span(),
                                .dbias = dbias.span(),
                                .dresidual = dresidual.span()});
    REQUIRE((x.intact() && y.intact() && dy.intact() && dx.intact() && weight.intact() && bias.intact() &&
             dweight.intact() && dbias.intact() && residual.intact() && dresidual.intact()));
  }

  void check(const kernels::Device& device) {
    INFO("rows " << dims.rows << " n " << dims.n << " affine " << (dweight.span().size() > 0) << " epsilon "
                 << dims.epsilon << " relu " << dims.relu << " residual " << (residual.span().size() > 0));
    const auto wide_x = widened(x.span()), wide_dy = widened(dy.span()), wide_weight = widened(weight.span()),
               wide_bias = widened(bias.span()), wide_residual = widened(residual.span());
    std::vector<double> wide_stats(stats.size()), wide_y(wide_x.size()), wide_dx(wide_x.size()),
        wide_dweight(widened(dweight.span())), wide_dbias(widened(dbias.span())), wide_dresidual(wide_residual.size());
    kernels::row_norm_forward(device, dims,
                              {.x = wide_x,
                               .weight = wide_weight,
                               .bias = wide_bias,
                               .residual = wide_residual,
                               .y = wide_y,
                               .stats = wide_stats});
    kernels::row_norm_backward(device, dims,
                               {.x = wide_x,
                                .weight = wide_weight,
                                .bias = wide_bias,
                                .stats = wide_stats,
                                .y = wide_y,
                                .dy = wide_dy,
                                .dx = wide_dx,
                                .dweight = wide_dweight,
                                .dbias = wide_dbias,
                                .dresidual = wide_dresidual});
    run(device);
    double scale = 1;
    for (double value : wide_y) scale = std::max(scale, std::abs(value) / 4);
    require_close(y.span(), wide_y, 1e-6, scale);
    // A row of two numbers has a gradient of nearly nothing: there the error is measured against rstd itself.
    double largest = 0;
    for (std::size_t row = 0; row < dims.rows && dims.n > 0; ++row)
      largest = std::max(largest, wide_stats[2 * row + 1]);
    require_close(dx.span(), wide_dx, 1e-6, dims.n < 8 ? largest : 0);
    require_close(dweight.span(), wide_dweight, 1e-6, static_cast<double>(dims.rows < 4 ? 4 : 0));
    require_close(dbias.span(), wide_dbias, 1e-6, static_cast<double>(dims.rows < 4 ? 4 : 0));
    require_close(dresidual.span(), wide_dresidual, 1e-6);
    count_case(device.target);
  }

  RowNormDims dims;
  Guarded<float> x, y, dy, dx, residual, dresidual, weight, bias, dweight, dbias;
  std::vector<double> stats;
};

}  // namespace

TEST_CASE("row norm kernels: every target and size against plain loops in double") {
  for_each_target([](const kernels::Device& device) {
    for (std::size_t size : awkward_sizes())
      for (std::size_t misalignment : kMisalignments)
        for (bool affine : {false, true}) {
          RowNormRun({.rows = 3, .n = size}, affine, misalignment).check(device);
          if (size < 1100) RowNormRun({.rows = size, .n = 10}, affine, misalignment).check(device);
        }
    RowNormRun({.rows = 700, .n = 512}, true).check(device);
  });
}

TEST_CASE("rms norm kernels: rows without a mean, on every target and size") {
  for_each_target([](const kernels::Device& device) {
    for (std::size_t size : awkward_sizes())
      for (bool affine : {false, true})
        for (bool relu : {false, true}) {
          RowNormRun test({.rows = 3, .n = size, .relu = relu, .center = false}, affine, size % 3);
          for (float& value : test.x.span()) value += 0.75f;
          test.check(device);
        }
    for (double scale : {1e-30, 1e19, 1e30, 1e37}) {
      RowNormRun test({.rows = 3, .n = 100, .epsilon = 1e-30, .center = false}, true);
      for (float& value : test.x.span()) value = static_cast<float>(scale * static_cast<double>(value));
      test.check(device);
    }
  });
}

TEST_CASE("row norm kernels: a residual and a ReLU in the same pass, on every target and size") {
  for_each_target([](const kernels::Device& device) {
    for (std::size_t size : awkward_sizes())
      for (bool affine : {false, true})
        for (bool residual : {false, true})
          for (bool relu : {false, true})
            RowNormRun({.rows = 3, .n = size, .relu = relu}, affine, size % 3, residual).check(device);
  });
}

// Rows of normal numbers with this mean and deviation; PyTorch 1.13 is wrong by 1e-3 to 4.24 in all rows but the first.
TEST_CASE("row norm kernels: large means, huge numbers and tiny ones keep all digits") {
  constexpr struct {
    double mean, deviation;
  } cases[] = {{0, 1},    {1e2, 1e-2}, {1e4, 1e-2},  {1e6, 0.1}, {-1e7, 1},    {0, 1e19},  {0, 1e20}, {3e4, 1e-2},
               {0, 1e30}, {0, 7e37},   {2e38, 1e36}, {0, 1e-3},  {1e-3, 1e-8}, {0, 1e-12}, {0, 1e-20}};
  for_each_target([&](const kernels::Device& device) {
    for (const auto& c : cases)
      for (double epsilon : {1e-5, 1e-30})
        for (std::size_t n : {2u, 3u, 17u, 100u, 1024u, 4099u, 65536u}) {
          if (epsilon < 1e-5 && n > 5000) continue;
          INFO("mean " << c.mean << " deviation " << c.deviation);
          RowNormRun test({.rows = n > 5000 ? 2u : 6u, .n = n, .epsilon = epsilon}, true);
          const Philox philox(5, n);
          for (std::size_t i = 0; i < test.x.span().size(); ++i)
            test.x[i] = static_cast<float>(c.mean + c.deviation * normal_pair(philox, i)[0]);
          test.check(device);
        }
  });
}

TEST_CASE("row norm kernels: one number that stands out does not spoil the others") {
  for_each_target([](const kernels::Device& device) {
    for (float outlier : {1e3f, 1e6f, -1e15f})
      for (std::size_t at : {0u, 5u, 999u}) {
        RowNormRun test({.rows = 1, .n = 1000}, false);
        test.x[at] = outlier;
        test.check(device);
      }
  });
}

TEST_CASE("row norm kernels: a row of equal numbers gives exactly the bias, and no gradient for equal gradients") {
  for_each_target([](const kernels::Device& device) {
    for (std::size_t n : {1u, 2u, 3u, 7u, 16u, 33u, 1000u, 5000u})
      for (float value : {0.0f, -0.0f, 0.1f, 3e4f, -1.7f, 1e-30f, 1e-42f, 1e19f, 3.4e38f, -3.4e38f})
        for (double epsilon : {1e-5, 1e-20}) {
          RowNormRun test({.rows = 2, .n = n, .epsilon = epsilon}, true);
          std::ranges::fill(test.x.span(), value);
          std::ranges::fill(test.dy.span(), 0.3f);
          std::ranges::fill(test.weight.span(), 0.7f);
          test.run(device);
          INFO("n " << n << " value " << value << " epsilon " << epsilon);
          for (std::size_t i = 0; i < 2 * n; ++i) {
            REQUIRE(test.y[i] == test.bias[i % n]);
            REQUIRE(test.dx[i] == 0);
          }
          count_case(device.target);
        }
  });
}

TEST_CASE("row norm kernels: a NaN or an infinity spoils its own row and no other") {
  for_each_target([](const kernels::Device& device) {
    for (std::size_t n : {1u, 5u, 16u, 37u})
      for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
        for (std::size_t at = 0; at < n; ++at) {
          RowNormRun test({.rows = 2, .n = n}, true);
          test.x[n + at] = bad;
          test.run(device);
          for (std::size_t i = 0; i < 2 * n; ++i) REQUIRE(std::isnan(test.y[i]) == (i >= n));
          test.dims.center = false;
          test.run(device);
          for (std::size_t i = 0; i < 2 * n; ++i) REQUIRE(std::isnan(test.y[i]) == (i >= n));
          count_case(device.target);
        }
  });
}
