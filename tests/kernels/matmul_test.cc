#include "kernels/matmul.h"

#include <cmath>

#include "tests/catch.h"
#include "tests/kernels/matmul_problems.h"

using namespace tapestry;
using namespace tapestry::test;
using kernels::MatmulDims;

namespace {

constexpr MatmulSizes kSizes[] = {
    {0, 5, 3},      {5, 0, 3},    {3, 4, 0},    {1, 1, 1},     {1, 32, 7},    {2, 3, 5},     {4, 16, 16},
    {5, 17, 31},    {6, 15, 64},  {7, 33, 9},   {8, 32, 12},   {13, 31, 257}, {14, 64, 33},  {15, 10, 65},
    {29, 97, 300},  {64, 40, 70}, {127, 5, 19}, {230, 37, 13}, {9, 35, 1030}, {33, 1, 40},   {67, 10, 530},
    {21, 12, 1027}, {23, 3, 64},  {250, 16, 6}, {300, 17, 2},  {3, 700, 10},  {230, 300, 1}, {31, 129, 64}};

}  // namespace

TEST_CASE("matmul: every target, transpose, bias and accumulation against plain loops in double, exact on integers") {
  for_each_target([](const kernels::Device& device) {
    for (const MatmulSizes& sizes : kSizes)
      for (int option = 0; option < kMatmulOptions; ++option)
        for (std::size_t misalignment : kMisalignments) {
          check_matmul(device, sizes, option, misalignment);
          count_case(device.target);
        }
  });
}

TEST_CASE("matmul: the error of a sum stays within that of a chain of fused products") {
  for_each_target([](const kernels::Device& device) {
    const MatmulDims dims{.m = 20, .n = 45, .k = 1000};
    Guarded<float> a(20 * 1000), b(1000 * 45), c(20 * 45);
    fill_random(a.span(), 5);
    fill_random(b.span(), 6);
    std::vector<double> expected(20 * 45);
    kernels::matmul(device, dims, std::span<const double>(widened(a.span())), widened(b.span()), {}, expected);
    kernels::matmul(device, dims, std::as_const(a).span(), std::as_const(b).span(), {}, c.span());
    require_close(c.span(), expected, 3e-6);
    count_case(device.target);
  });
}

TEST_CASE("matmul: batches, with a right side for each matrix and with one for all") {
  for_each_target([](const kernels::Device& device) {
    for (std::size_t stride_b : {0u, 231u}) {
      const MatmulDims dims{
          .m = 9, .n = 21, .k = 11, .batch = 5, .stride_a = 99, .stride_b = stride_b, .stride_c = 189};
      Guarded<float> a(5 * 99), b(231 + 4 * stride_b), c(5 * 189);
      fill_whole(a.span(), 1);
      fill_whole(b.span(), 2);
      std::vector<double> expected(5 * 189);
      kernels::matmul(device, dims, std::span<const double>(widened(a.span())), widened(b.span()), {}, expected);
      kernels::matmul(device, dims, std::as_const(a).span(), std::as_const(b).span(), {}, c.span());
      require_close(c.span(), expected, 0);
    }
    count_case(device.target);
  });
}

TEST_CASE("matmul: a NaN or infinity reaches its row and column, and no other") {
  for_each_target([](const kernels::Device& device) {
    const MatmulDims dims{.m = 15, .n = 35, .k = 20};
    Guarded<float> a(15 * 20, 0, 1.0f), b(20 * 35, 0, 1.0f), c(15 * 35);
    a[3 * 20 + 7] = NAN;
    b[5 * 35 + 34] = INFINITY;
    kernels::matmul(device, dims, std::as_const(a).span(), std::as_const(b).span(), {}, c.span());
    for (std::size_t i = 0; i < 15; ++i)
      for (std::size_t j = 0; j < 35; ++j) {
        const float value = c[i * 35 + j];
        if (i == 3) REQUIRE(std::isnan(value));
        if (i != 3) REQUIRE((j == 34 ? value == INFINITY : value == 20));
      }
    count_case(device.target);
  });
}
