#include "kernels/peak.h"

#include <cmath>

#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;

TEST_CASE("iterate_affine: every target against plain loops, exact on whole numbers") {
  for_each_target([](const kernels::Device& device) {
    for (const std::size_t size : awkward_sizes())
      for (const std::size_t misalignment : kMisalignments)
        for (const std::size_t rounds : {0u, 1u, 3u}) {
          Guarded<float> y(size, misalignment);
          fill_random(y.span(), size, -8, 9);
          for (float& value : y.span()) value = std::floor(value);
          std::vector<double> expected = widened(y.span());
          for (double& value : expected)
            for (std::size_t round = 0; round < rounds; ++round) value = 3 * value + 2;
          kernels::iterate_affine(device, rounds, 3, 2, y.span());
          INFO("size " << size << " rounds " << rounds);
          require_close(y.span(), expected, 0);
          REQUIRE(y.intact());
          count_case(device.target);
        }
  });
}

TEST_CASE("read, write and copy rounds: every target against plain loops, exact on whole numbers") {
  for_each_target([](const kernels::Device& device) {
    for (const std::size_t size : awkward_sizes())
      for (const std::size_t misalignment : kMisalignments)
        for (const std::size_t piece : {std::size_t{7}, std::size_t{64}, size + 1}) {
          Guarded<float> x(size, misalignment), y(size, misalignment), sums((size + piece - 1) / piece, misalignment);
          fill_random(x.span(), size, -8, 9);
          for (float& value : x.span()) value = std::floor(value);
          const std::vector<double> given = widened(x.span());
          std::vector<double> expected(sums.span().size());
          for (std::size_t i = 0; i < size; ++i) expected[i / piece] += 3 * given[i];
          INFO("size " << size << " piece " << piece);
          kernels::read_rounds(device, 3, piece, std::as_const(x).span(), sums.span());
          require_close(sums.span(), expected, 0);
          kernels::write_rounds(device, 2, piece, 5, y.span());
          require_close(y.span(), std::vector<double>(size, 5), 0);
          kernels::copy_rounds(device, 2, piece, std::as_const(x).span(), 4, y.span());
          std::vector<double> moved = given;
          for (double& value : moved) value += 4;
          require_close(y.span(), moved, 0);
          REQUIRE((x.intact() && y.intact() && sums.intact()));
          count_case(device.target);
        }
  });
}
