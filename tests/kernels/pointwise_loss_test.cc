#include "kernels/pointwise_loss.h"

#include <cmath>
#include <limits>

#include "tests/catch.h"
#include "tests/support/loss_cases.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

void check(const kernels::Device& device, const LossCase& c, std::size_t size, bool weighted,
           std::size_t misalignment) {
  const kernels::PointwiseLossDims& dims = c.dims;
  INFO(c.name << " size " << size << " weighted " << weighted);
  Guarded<float> x(size, misalignment), t(size, misalignment), w(weighted ? size : 0, misalignment),
      p(weighted ? size : 0, misalignment), dy(size, misalignment), losses(size, misalignment), dx(size, misalignment),
      dt(size, misalignment);
  fill_random(x.span(), size + 1, c.low, c.high);
  fill_random(t.span(), size + 2, c.target_low, c.target_high);
  fill_random(w.span(), size + 3, 0, 2);
  fill_random(p.span(), size + 4, 0, 3);
  fill_random(dy.span(), size + 5);
  if (size > 3) t[3] = 0;
  const auto wide_x = widened(x.span()), wide_t = widened(t.span()), wide_w = widened(w.span()),
             wide_p = widened(p.span()), wide_dy = widened(dy.span());
  std::vector<double> expected(size), expected_dx(size), expected_dt(size);
  kernels::pointwise_loss_forward(
      device, dims, {.x = wide_x, .target = wide_t, .weight = wide_w, .pos_weight = wide_p, .losses = expected});
  const auto forward = [&](std::span<float> out) {
    return kernels::pointwise_loss_forward(device, dims,
                                           {.x = std::as_const(x).span(),
                                            .target = std::as_const(t).span(),
                                            .weight = std::as_const(w).span(),
                                            .pos_weight = std::as_const(p).span(),
                                            .losses = out});
  };
  const double found = forward(losses.span());
  require_close(losses.span(), expected, 1e-6);
  double sum = 0, size_of_terms = 0;
  for (float loss : losses.span()) {
    sum += loss;
    size_of_terms += std::abs(loss);
  }
  REQUIRE(std::abs(found - sum) <= 2e-7 * size_of_terms);
  REQUIRE(std::abs(forward({}) - sum) <= 2e-7 * size_of_terms);
  for (bool each : {true, false}) {
    kernels::pointwise_loss_backward(device, dims,
                                     {.x = wide_x,
                                      .target = wide_t,
                                      .weight = wide_w,
                                      .pos_weight = wide_p,
                                      .dy = each ? std::span<const double>(wide_dy) : std::span<const double>{},
                                      .scale = 0.3,
                                      .dx = expected_dx,
                                      .dtarget = expected_dt});
    kernels::pointwise_loss_backward(device, dims,
                                     {.x = std::as_const(x).span(),
                                      .target = std::as_const(t).span(),
                                      .weight = std::as_const(w).span(),
                                      .pos_weight = std::as_const(p).span(),
                                      .dy = each ? std::as_const(dy).span() : std::span<const float>{},
                                      .scale = 0.3,
                                      .dx = dx.span(),
                                      .dtarget = dt.span()});
    require_close(dx.span(), expected_dx, 1e-6);
    require_close(dt.span(), expected_dt, 1e-6);
  }
  REQUIRE((x.intact() && t.intact() && w.intact() && p.intact() && dy.intact() && losses.intact() && dx.intact() &&
           dt.intact()));
  count_case(device.target);
}

}  // namespace

TEST_CASE("pointwise losses: every target, kind and size against plain loops in double") {
  for_each_target([](const kernels::Device& device) {
    for (std::size_t size : awkward_sizes())
      for (std::size_t misalignment : kMisalignments)
        for (const LossCase& c : loss_cases())
          for (bool weighted : {false, true})
            if (!weighted || c.weighted) check(device, c, size, weighted, misalignment);
  });
}

TEST_CASE("pointwise losses: NaN, infinities, ties and huge numbers as the plain loops have them") {
  constexpr float kInf = std::numeric_limits<float>::infinity(), kNaN = std::numeric_limits<float>::quiet_NaN();
  constexpr float numbers[] = {0, -0.0f, 1, -1, 0.5f, 2, 100, -100, 1e4f, -1e4f, 1e-30f, kInf, -kInf, kNaN};
  constexpr float targets[] = {0, 1, 0.5f, 0.25f, kNaN};
  std::vector<float> x, t;
  for (float a : numbers)
    for (float b : targets) {
      x.push_back(a);
      t.push_back(b);
    }
  for_each_target([&](const kernels::Device& device) {
    for (const LossCase& c : loss_cases()) {
      const kernels::PointwiseLossDims& dims = c.dims;
      std::vector<float> losses(x.size()), dx(x.size());
      std::vector<double> wide(x.size()), wide_dx(x.size());
      const auto wide_x = widened(x), wide_t = widened(t);
      kernels::pointwise_loss_forward(device, dims, {.x = x, .target = t, .losses = losses});
      kernels::pointwise_loss_forward(device, dims, {.x = wide_x, .target = wide_t, .losses = wide});
      kernels::pointwise_loss_backward(device, dims, {.x = x, .target = t, .dx = dx});
      kernels::pointwise_loss_backward(device, dims, {.x = wide_x, .target = wide_t, .dx = wide_dx});
      for (std::size_t i = 0; i < x.size(); ++i) {
        INFO(c.name << " x " << x[i] << " target " << t[i]);
        const auto same = [&](float& found, double wanted) {
          const double nearest = static_cast<float>(wanted);
          require_close({&found, 1}, {&nearest, 1}, 1e-6,
                        std::isfinite(nearest) ? std::max(std::abs(nearest), 1e-30) : 1e-30);
        };
        same(losses[i], wide[i]);
        same(dx[i], wide_dx[i]);
      }
      count_case(device.target);
    }
  });
}
