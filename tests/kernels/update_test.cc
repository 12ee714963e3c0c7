#include "kernels/update.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;
using namespace tapestry::kernels;

namespace {

struct Case {
  Guarded<float> data;
  std::vector<double> wide;
  Case(std::size_t size, std::size_t misalignment, std::uint64_t seed, double low, double high)
      : data(size, misalignment) {
    fill_random(data.span(), seed, low, high);
    wide = widened(data.span());
  }
  void check(double scale = 1) const {
    REQUIRE(data.intact());
    require_close(data.span(), wide, 1e-6, scale);
  }
};

const SgdStep kSgdSteps[] = {{.lr = 0.1},
                             {.lr = 0.1, .weight_decay = 0.3, .scale = 0.25},
                             {.lr = 0.1, .momentum = 0.9, .first = true},
                             {.lr = 0.1, .momentum = 0.9, .dampening = 0.4, .weight_decay = 0.3, .first = true},
                             {.lr = 0.1, .momentum = 0.9, .dampening = 0.4, .weight_decay = 0.3, .scale = 0.5},
                             {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.3, .nesterov = true}};

const AdamStep kAdamSteps[] = {
    {.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .step = 1},
    {.lr = 1e-2, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-3, .weight_decay = 0.1, .scale = 0.5, .step = 7},
    {.lr = 1e-2, .beta1 = 0.8, .beta2 = 0.9, .eps = 1e-6, .weight_decay = 0.1, .decoupled = true, .step = 3},
    {.lr = 1e-2, .beta1 = 0, .beta2 = 0, .eps = 1e-6, .step = std::int64_t{1} << 40}};

}  // namespace

TEST_CASE("update: sgd is the reference on every target") {
  for_each_target([](const Device& device) {
    for (std::size_t size : awkward_sizes())
      for (std::size_t misalignment : kMisalignments)
        for (const SgdStep& step : kSgdSteps) {
          INFO("size " << size << " misalignment " << misalignment << " case " << &step - kSgdSteps);
          Case gradient(size, misalignment, 1, -2, 2), momentum(size, misalignment, 2, -1, 1),
              weight(size, misalignment, 3, -1, 1);
          const std::size_t kept = step.momentum == 0 ? 0 : size;
          sgd(device, step, gradient.data.span(), momentum.data.span().first(kept), weight.data.span());
          sgd(device, step, std::span<const double>(gradient.wide), std::span(momentum.wide).first(kept),
              std::span(weight.wide));
          gradient.check();
          momentum.check(3);
          weight.check();
          count_case(device.target);
        }
  });
}

TEST_CASE("update: adam is the reference on every target") {
  for_each_target([](const Device& device) {
    for (std::size_t size : awkward_sizes())
      for (std::size_t misalignment : kMisalignments)
        for (const AdamStep& step : kAdamSteps)
          for (bool amsgrad : {false, true}) {
            INFO("size " << size << " misalignment " << misalignment << " case " << &step - kAdamSteps << " amsgrad "
                         << amsgrad);
            Case gradient(size, misalignment, 1, -2, 2), mean(size, misalignment, 2, -1, 1),
                square(size, misalignment, 3, 0.1, 1);
            Case largest(size, misalignment, 4, 0.1, 1), weight(size, misalignment, 5, -1, 1);
            const std::size_t kept = amsgrad ? size : 0;
            adam(device, step, gradient.data.span(), mean.data.span(), square.data.span(),
                 largest.data.span().first(kept), weight.data.span());
            adam(device, step, std::span<const double>(gradient.wide), std::span(mean.wide), std::span(square.wide),
                 std::span(largest.wide).first(kept), std::span(weight.wide));
            gradient.check();
            mean.check(2);
            square.check(4);
            largest.check(4);
            weight.check();
            count_case(device.target);
          }
  });
}

TEST_CASE("update: nothing moves where gradient, state and weight are zero") {
  for_each_target([](const Device& device) {
    Guarded<float> g(33), m(33), v(33), top(33), w(33);
    sgd(device, {.lr = 1, .momentum = 0.9, .weight_decay = 0.1}, g.span(), m.span(), w.span());
    adam(device, kAdamSteps[0], g.span(), m.span(), v.span(), top.span(), w.span());
    for (std::size_t i = 0; i < 33; ++i) REQUIRE((w[i] == 0 && m[i] == 0 && v[i] == 0));
    count_case(device.target);
  });
}

TEST_CASE("update: a huge gradient saturates adam's second moment and leaves weights finite") {
  for_each_target([](const Device& device) {
    Guarded<float> g(9, 1, 3e38f), m(9, 1), v(9, 1), w(9, 1, 1.0f);
    for (std::int64_t step = 1; step < 20; ++step) {
      adam(device, {.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.5, .eps = 1e-8, .step = step}, g.span(), m.span(), v.span(),
           {}, w.span());
      for (std::size_t i = 0; i < 9; ++i) REQUIRE((std::isfinite(w[i]) && std::isfinite(v[i])));
    }
    count_case(device.target);
  });
}

TEST_CASE("update: l2_norm is exact to double on every target and sees what is not finite") {
  for_each_target([](const Device& device) {
    for (std::size_t size : awkward_sizes())
      for (std::size_t misalignment : kMisalignments) {
        Case x(size, misalignment, size, -1, 1);
        const double expected = l2_norm(device, std::span<const double>(x.wide));
        REQUIRE(std::abs(l2_norm(device, x.data.span()) - expected) <= 1e-13 * expected);
        for (float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()})
          for (std::size_t at : {std::size_t{0}, size / 2, size - 1}) {
            if (size == 0) continue;
            const float kept = std::exchange(x.data[at], bad);
            REQUIRE_FALSE(std::isfinite(l2_norm(device, x.data.span())));
            x.data[at] = kept;
          }
        count_case(device.target);
      }
    for (float value : {std::numeric_limits<float>::max(), std::numeric_limits<float>::min(), 1e-45f}) {
      Guarded<float> x(100000, 0, value);
      REQUIRE(std::abs(l2_norm(device, x.span()) / (double{value} * std::sqrt(100000.0)) - 1) < 1e-13);
    }
    const std::vector<double> wide(7, 1e300);
    REQUIRE(std::abs(l2_norm(device, std::span<const double>(wide)) / (1e300 * std::sqrt(7.0)) - 1) < 1e-13);
  });
}
