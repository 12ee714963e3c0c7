#include "kernels/extreme.h"

#include <cmath>

#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;
using kernels::Extreme;
using kernels::ReduceDims;

namespace {

std::vector<ReduceDims> forms() {
  std::vector<ReduceDims> all;
  for (std::size_t size : awkward_sizes())
    if (size > 0) all.push_back({.size = size});
  for (std::size_t size : {1u, 2u, 5u, 17u, 300u})
    for (std::size_t inner : {1u, 2u, 9u, 16u, 37u, 130u}) all.push_back({.outer = 3, .size = size, .inner = inner});
  all.insert(
      all.end(),
      {{2, 70001, 1}, {70001, 2, 1}, {1, 9001, 5}, {2, 701, 530}, {5000, 3, 7}, {0, 4, 4}, {4, 4, 0}, {0, 4, 1}});
  return all;
}

enum class Numbers { ties, negative, special };

// All of them have ties; those of `special` have infinities and, in some lines, NaNs.
void fill(std::span<float> x, Numbers numbers, std::uint64_t seed) {
  fill_random(x, seed);
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (numbers == Numbers::negative) x[i] = -3 - std::abs(x[i]);
    x[i] = std::round(x[i] * 16) / 16;
    if (numbers != Numbers::special) continue;
    if (i % 7 == 3) x[i] = INFINITY;
    if (i % 5 == 2) x[i] = -INFINITY;
    if (i % 41 == 40) x[i] = NAN;
  }
}

bool same(float a, double b) { return std::isnan(b) ? std::isnan(a) : static_cast<double>(a) == b; }

}  // namespace

TEST_CASE("extremes: every target, form and alignment against plain loops in double, and where they are") {
  for_each_target([&](const kernels::Device& device) {
    for (const ReduceDims& dims : forms())
      for (std::size_t misalignment : kMisalignments)
        for (Numbers numbers : {Numbers::ties, Numbers::negative, Numbers::special})
          for (Extreme which : {Extreme::smallest, Extreme::largest}) {
            const std::size_t elements = dims.outer * dims.size * dims.inner, results = dims.outer * dims.inner;
            if (elements > 20000 && misalignment == 3) continue;
            Guarded<float> x(elements, misalignment), y(results, misalignment);
            Guarded<std::int64_t> at(results, misalignment);
            fill(x.span(), numbers, results + dims.size);
            const std::vector<double> wide = widened(x.span());
            std::vector<double> expected(results);
            std::vector<std::int64_t> expected_at(results);
            kernels::extremes(device, dims, which, wide, expected);
            kernels::arg_extremes(device, dims, which, wide, expected_at);
            kernels::extremes(device, dims, which, std::as_const(x).span(), y.span());
            kernels::arg_extremes(device, dims, which, std::as_const(x).span(), at.span());
            INFO("outer " << dims.outer << " size " << dims.size << " inner " << dims.inner << " numbers "
                          << static_cast<int>(numbers) << " extreme " << static_cast<int>(which));
            for (std::size_t i = 0; i < results; ++i) {
              if (!same(y[i], expected[i])) REQUIRE(static_cast<double>(y[i]) == expected[i]);
              if (at[i] != expected_at[i]) REQUIRE(at[i] == expected_at[i]);
            }
            REQUIRE((x.intact() && y.intact() && at.intact()));
            count_case(device.target);
          }
  });
}

TEST_CASE("extremes: one NaN in any place wins, and is found") {
  for_each_target([](const kernels::Device& device) {
    for (std::size_t size : {1u, 2u, 7u, 33u, 70u, 70001u})
      for (std::size_t inner : {1u, 3u})
        for (std::size_t place = 0; place<size; place += size> 100 ? 10000 : 1)
          for (Extreme which : {Extreme::smallest, Extreme::largest}) {
            const float beyond = which == Extreme::largest ? INFINITY : -INFINITY;
            std::vector<float> x(size * inner, beyond), y(inner);
            std::vector<std::int64_t> at(inner);
            x[place * inner + inner - 1] = NAN;
            kernels::extremes(device, {.size = size, .inner = inner}, which, x, y);
            kernels::arg_extremes(device, {.size = size, .inner = inner}, which, x, at);
            REQUIRE(std::isnan(y[inner - 1]));
            REQUIRE(at[inner - 1] == static_cast<std::int64_t>(place));
            if (inner > 1) REQUIRE((y[0] == beyond && at[0] == 0));
            count_case(device.target);
          }
  });
}
