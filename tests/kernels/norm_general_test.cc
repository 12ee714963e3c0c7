#include "kernels/norm_general.h"

#include <cmath>
#include <limits>

#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;
using kernels::GeneralNormDims;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct Options {
  bool affine = true, masked = false, frozen = false, outputs = true;
  double mean = 0, deviation = 1;
};

// All four steps on one target, and in double.
struct GeneralNormRun {
  explicit GeneralNormRun(const GeneralNormDims& dims, Options options = {}, std::size_t misalignment = 0)
      : dims(dims),
        options(options),
        x(dims.rows * dims.n, misalignment),
        mask(options.masked ? x.span().size() : 0, misalignment),
        weight(options.affine ? dims.weight_rows * dims.n : 0, misalignment),
        bias(weight.span().size(), misalignment),
        y(x.span().size(), misalignment),
        dy(x.span().size(), misalignment),
        dx(x.span().size(), misalignment),
        dweight(options.outputs ? weight.span().size() : 0, misalignment, 0.5f),
        dbias(dweight.span().size(), misalignment, -0.5f),
        stats(3 * dims.rows),
        products(2 * dims.rows) {
    fill_random(x.span(), dims.n + 1, options.mean - 2 * options.deviation, options.mean + 2 * options.deviation);
    fill_random(dy.span(), dims.n + 2);
    fill_random(weight.span(), dims.n + 3, 0.5, 1.5);
    fill_random(bias.span(), dims.n + 4);
    fill_random(mask.span(), dims.n + 5, -1, 2);
    for (float& m : mask.span()) m = m > 0 ? 1.0f : 0.0f;
    for (std::size_t row = 0; row < dims.rows && options.masked && dims.n > 0; ++row)
      mask[row * dims.n + row % dims.n] = 1;
  }

  template <class T>
  struct Arrays {
    std::span<const T> x, mask, weight, bias, dy;
    std::span<T> y, dx, dweight, dbias;
    std::span<double> stats, products;
  };
  template <class T>
  void steps(const kernels::Device& device, const Arrays<T>& a) const {
    kernels::norm_moments(device, dims, a.x, a.mask, a.stats);
    for (std::size_t row = 0; row < dims.rows && options.frozen; ++row) {
      a.stats[3 * row] = 0.25;
      a.stats[3 * row + 1] = 0.5 + static_cast<double>(row);
      a.stats[3 * row + 2] = 0;
    }
    kernels::norm_apply(device, dims, {.x = a.x, .weight = a.weight, .bias = a.bias, .stats = a.stats, .y = a.y});
    kernels::norm_products(device, dims,
                           {.x = a.x,
                            .weight = a.weight,
                            .stats = a.stats,
                            .dy = a.dy,
                            .products = a.products,
                            .dweight = a.dweight,
                            .dbias = a.dbias});
    kernels::norm_gradient(device, dims,
                           {.x = a.x,
                            .mask = a.mask,
                            .weight = a.weight,
                            .stats = a.stats,
                            .products = a.products,
                            .dy = a.dy,
                            .dx = a.dx});
  }

  void check(const kernels::Device& device) {
    INFO("rows " << dims.rows << " n " << dims.n << " weight_rows " << dims.weight_rows << " center " << dims.center
                 << " affine " << options.affine << " masked " << options.masked << " frozen " << options.frozen);
    const auto wide_x = widened(x.span()), wide_mask = widened(mask.span()), wide_weight = widened(weight.span()),
               wide_bias = widened(bias.span()), wide_dy = widened(dy.span());
    std::vector<double> wide_y(wide_x.size()), wide_dx(wide_x.size()), wide_dweight(widened(dweight.span())),
        wide_dbias(widened(dbias.span())), wide_stats(stats), wide_products(products);
    steps<double>(device, {.x = wide_x,
                           .mask = wide_mask,
                           .weight = wide_weight,
                           .bias = wide_bias,
                           .dy = wide_dy,
                           .y = wide_y,
                           .dx = wide_dx,
                           .dweight = wide_dweight,
                           .dbias = wide_dbias,
                           .stats = wide_stats,
                           .products = wide_products});
    steps<float>(device, {.x = std::as_const(x).span(),
                          .mask = std::as_const(mask).span(),
                          .weight = std::as_const(weight).span(),
                          .bias = std::as_const(bias).span(),
                          .dy = std::as_const(dy).span(),
                          .y = y.span(),
                          .dx = dx.span(),
                          .dweight = dweight.span(),
                          .dbias = dbias.span(),
                          .stats = stats,
                          .products = products});
    REQUIRE((x.intact() && mask.intact() && weight.intact() && bias.intact() && dy.intact() && y.intact() &&
             dx.intact() && dweight.intact() && dbias.intact()));
    for (std::size_t i = 0; i < stats.size(); ++i)
      REQUIRE(std::abs(stats[i] - wide_stats[i]) <= 1e-12 * std::max(1.0, std::abs(wide_stats[i])));
    double largest = 0;
    for (double v : wide_dx) largest = std::max(largest, std::abs(v));
    for (std::size_t row = 0; row < dims.rows && dims.n < 16; ++row)
      largest = std::max(largest, 1 / std::sqrt(wide_stats[3 * row + 1] + dims.epsilon));
    require_close(y.span(), wide_y, 2e-7);
    require_close(dx.span(), wide_dx, 2e-7, largest);
    double terms = 1 + std::sqrt(static_cast<double>(dims.rows));
    require_close(dbias.span(), wide_dbias, 1e-6, terms);
    for (double v : wide_dweight) terms = std::max(terms, std::abs(v));
    require_close(dweight.span(), wide_dweight, 1e-6, terms);
    count_case(device.target);
  }

  GeneralNormDims dims;
  Options options;
  Guarded<float> x, mask, weight, bias, y, dy, dx, dweight, dbias;
  std::vector<double> stats, products;
};

}  // namespace

TEST_CASE("general norm kernels: all sizes, masks and weights, on every target, against plain loops in double") {
  for_each_target([](const kernels::Device& device) {
    for (std::size_t n : awkward_sizes())
      for (std::size_t misalignment : kMisalignments) {
        const bool odd = (n + misalignment) % 2 == 1, third = (n + misalignment) % 3 == 1;
        GeneralNormRun({.rows = 6, .n = n, .weight_rows = odd ? 3u : 1u, .center = !third}, {.masked = odd != third},
                       misalignment)
            .check(device);
        GeneralNormRun({.rows = 4, .n = n, .weight_rows = 4}, {.affine = odd, .masked = third, .frozen = !odd},
                       misalignment)
            .check(device);
      }
    GeneralNormRun({.rows = 0, .n = 5}).check(device);
    GeneralNormRun({.rows = 600, .n = 7, .weight_rows = 2}, {.masked = true}).check(device);
    GeneralNormRun({.rows = 150, .n = 3000, .weight_rows = 1}).check(device);
    GeneralNormRun({.rows = 150, .n = 3000, .weight_rows = 2}, {.outputs = false}).check(device);
  });
}

TEST_CASE("general norm kernels: large means and huge numbers keep all digits") {
  constexpr struct {
    double mean, deviation;
  } cases[] = {{1e4, 1e-2}, {1e6, 0.1}, {0, 1e19}, {0, 1e30}, {0, 7e37}, {0, 1e-12}, {2e38, 1e36}};
  for_each_target([&](const kernels::Device& device) {
    for (const auto& c : cases)
      for (bool masked : {false, true})
        GeneralNormRun({.rows = 3, .n = 1000}, {.masked = masked, .mean = c.mean, .deviation = c.deviation})
            .check(device);
  });
}

TEST_CASE(
    "general norm kernels: what does not count is never looked at, and gets no part of the statistics' gradient") {
  const GeneralNormDims dims{.rows = 1, .n = 19};
  for_each_target([&](const kernels::Device& device) {
    for (std::size_t hidden = 0; hidden < dims.n; ++hidden)
      for (double value : {kNan, std::numeric_limits<double>::infinity(), 3e38}) {
        GeneralNormRun run(dims, {.affine = false});
        std::vector<float> mask(dims.n, 1.0f), zero_at_hidden(run.dy.span().begin(), run.dy.span().end());
        mask[hidden] = 0;
        zero_at_hidden[hidden] = 0;
        std::vector<double> clean(3), stats(3), products(2);
        kernels::norm_moments(device, dims, std::as_const(run.x).span(), std::span<const float>(mask), clean);
        run.x[hidden] = static_cast<float>(value);
        kernels::norm_moments(device, dims, std::as_const(run.x).span(), std::span<const float>(mask), stats);
        REQUIRE(stats == clean);
        REQUIRE(stats[2] == 19.0 / 18);
        std::vector<float> dx(dims.n), dweight(dims.n);
        kernels::norm_products(device, dims,
                               {.x = std::as_const(run.x).span(),
                                .stats = stats,
                                .dy = zero_at_hidden,
                                .products = products,
                                .dweight = dweight});
        kernels::norm_gradient(device, dims,
                               {.x = std::as_const(run.x).span(),
                                .mask = mask,
                                .stats = stats,
                                .products = products,
                                .dy = zero_at_hidden,
                                .dx = dx});
        for (float v : dx) REQUIRE(std::isfinite(v));
        REQUIRE((dx[hidden] == 0 && dweight[hidden] == 0));
        const double nan_stats[] = {kNan, kNan, stats[2]}, nan_products[] = {kNan, kNan};
        kernels::norm_gradient(device, dims,
                               {.x = std::as_const(run.x).span(),
                                .mask = mask,
                                .stats = nan_stats,
                                .products = nan_products,
                                .dy = zero_at_hidden,
                                .dx = dx});
        for (std::size_t i = 0; i < dims.n; ++i) REQUIRE((i == hidden ? dx[i] == 0 : std::isnan(dx[i])));
        count_case(device.target);
      }
  });
}

TEST_CASE(
    "general norm kernels: nothing that counts, a NaN and an infinity make NaN of the row; equal numbers are exact") {
  const GeneralNormDims dims{.rows = 1, .n = 21}, uncentred{.rows = 1, .n = 21, .center = false};
  for_each_target([&](const kernels::Device& device) {
    const auto moments = [&](const GeneralNormDims& d, const std::vector<float>& x, const std::vector<float>& mask) {
      std::vector<double> stats(3);
      kernels::norm_moments(device, d, std::span<const float>(x), std::span<const float>(mask), stats);
      return stats;
    };
    for (const GeneralNormDims& d : {dims, uncentred}) {
      const auto none = moments(d, std::vector<float>(21, 2), std::vector<float>(21, 0));
      REQUIRE((std::isnan(none[0]) && std::isnan(none[1])));
      for (std::size_t at = 0; at < 21; ++at)
        for (float bad : {NAN, INFINITY, -INFINITY}) {
          std::vector<float> x(21, 2);
          x[at] = bad;
          const auto stats = moments(d, x, {});
          REQUIRE((std::isnan(stats[0]) && std::isnan(stats[1])));
        }
    }
    for (float value : {3e4f, -3.4e38f, 0.1f, 1e-40f, 0.0f}) {
      const std::vector<float> x(21, value), dy(21, 0.3f);
      const auto stats = moments(dims, x, {});
      REQUIRE((stats[0] == static_cast<double>(value) && stats[1] == 0));
      std::vector<float> y(21), dx(21), bias(21, 0.7f), weight(21, 1.3f);
      std::vector<double> products(2);
      kernels::norm_apply(device, dims, {.x = x, .weight = weight, .bias = bias, .stats = stats, .y = y});
      kernels::norm_products(device, dims, {.x = x, .weight = weight, .stats = stats, .dy = dy, .products = products});
      kernels::norm_gradient(device, dims,
                             {.x = x, .weight = weight, .stats = stats, .products = products, .dy = dy, .dx = dx});
      for (std::size_t j = 0; j < 21; ++j) REQUIRE((y[j] == 0.7f && dx[j] == 0));
      count_case(device.target);
    }
  });
}
