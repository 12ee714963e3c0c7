#include "kernels/loss.h"

#include <cmath>

#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;
using kernels::CrossEntropyDims;

namespace {

void check_cross_entropy(const kernels::Device& device, const CrossEntropyDims& dims, bool weighted,
                         std::size_t misalignment) {
  INFO("rows " << dims.rows << " classes " << dims.classes << " smoothing " << dims.label_smoothing << " weighted "
               << weighted);
  const std::size_t size = dims.rows * dims.classes;
  Guarded<float> x(size, misalignment), weight(weighted ? dims.classes : 0, misalignment), dy(dims.rows, misalignment),
      stats(2 * dims.rows, misalignment), losses(dims.rows, misalignment), dx(size, misalignment);
  Guarded<std::int64_t> labels(dims.rows, misalignment);
  fill_random(x.span(), size, -8, 8);
  fill_random(weight.span(), size + 1, 0.2, 2);
  fill_random(dy.span(), size + 2);
  for (std::size_t i = 0; i < dims.rows; ++i)
    labels[i] = i % 5 == 3 || dims.classes == 0 ? dims.ignore_index : static_cast<std::int64_t>(i * 7 % dims.classes);
  const auto wide_x = widened(x.span()), wide_weight = widened(weight.span()), wide_dy = widened(dy.span());
  std::vector<double> wide_stats(2 * dims.rows), expected(dims.rows), expected_dx(size);
  const std::span<const std::int64_t> y = std::as_const(labels).span();
  const double total = kernels::cross_entropy_forward(
      device, dims, {.x = wide_x, .labels = y, .weight = wide_weight, .stats = wide_stats, .losses = expected});
  kernels::CrossEntropyForward<float> forward{.x = std::as_const(x).span(),
                                              .labels = y,
                                              .weight = std::as_const(weight).span(),
                                              .stats = stats.span(),
                                              .losses = losses.span()};
  const double found = kernels::cross_entropy_forward(device, dims, forward);
  require_close(losses.span(), expected, 1e-6, 8);
  REQUIRE(std::abs(found - total) <= 2e-7 * (1 + std::abs(total)));
  forward.losses = {};
  REQUIRE(kernels::cross_entropy_forward(device, dims, forward) == found);
  for (bool each : {true, false}) {
    const std::span<const double> wide_g = each ? std::span<const double>(wide_dy) : std::span<const double>{};
    const std::span<const float> g = each ? std::as_const(dy).span() : std::span<const float>{};
    kernels::cross_entropy_backward(device, dims,
                                    {.x = wide_x,
                                     .labels = y,
                                     .weight = wide_weight,
                                     .stats = wide_stats,
                                     .dy = wide_g,
                                     .scale = 0.3,
                                     .dx = expected_dx});
    kernels::cross_entropy_backward(device, dims,
                                    {.x = std::as_const(x).span(),
                                     .labels = y,
                                     .weight = std::as_const(weight).span(),
                                     .stats = std::as_const(stats).span(),
                                     .dy = g,
                                     .scale = 0.3,
                                     .dx = dx.span()});
    require_close(dx.span(), expected_dx, 1e-6, 0.3);
  }
  REQUIRE((x.intact() && weight.intact() && dy.intact() && stats.intact() && losses.intact() && dx.intact() &&
           labels.intact()));
  count_case(device.target);
}

}  // namespace

TEST_CASE("cross entropy kernels: every target, size and option against plain loops in double") {
  for_each_target([](const kernels::Device& device) {
    for (std::size_t size : awkward_sizes())
      for (std::size_t misalignment : kMisalignments)
        for (int option = 0; option < 4; ++option) {
          const double smoothing = (option & 1) != 0 ? 0.1 : 0;
          const bool weighted = (option & 2) != 0;
          check_cross_entropy(device, {.rows = 4, .classes = size, .label_smoothing = smoothing}, weighted,
                              misalignment);
          check_cross_entropy(device, {.rows = size, .classes = 10, .label_smoothing = smoothing}, weighted,
                              misalignment);
        }
  });
}
