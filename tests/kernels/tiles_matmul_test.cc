#include <cmath>
#include <cstring>

#include "kernels/matmul.h"
#include "tests/catch.h"
#include "tests/kernels/matmul_problems.h"
#include "tests/kernels/tile_units.h"

using namespace tapestry;
using namespace tapestry::test;
using kernels::MatmulDims;

namespace {

constexpr MatmulSizes kSizes[] = {{1, 1, 1},    {5, 17, 31},  {33, 16, 64},   {31, 32, 33}, {64, 65, 7},
                                  {17, 15, 96}, {3, 40, 530}, {130, 130, 20}, {40, 9, 1027}};

// The root mean square of the errors of C = A B, relative to that of C.
double relative_error(const kernels::Device& device, const MatmulDims& dims, const std::vector<float>& a,
                      const std::vector<float>& b, const std::vector<double>& expected) {
  std::vector<float> c(dims.m * dims.n);
  kernels::matmul(device, dims, std::span<const float>(a), b, {}, c);
  double errors = 0, squares = 0;
  for (std::size_t i = 0; i < c.size(); ++i) {
    errors += (c[i] - expected[i]) * (c[i] - expected[i]);
    squares += expected[i] * expected[i];
  }
  return std::sqrt(errors / squares);
}

}  // namespace

TEST_CASE("tiles_matmul: every unit, transpose, bias and accumulation, misaligned, exact on whole numbers") {
  for_each_tile_unit([](const kernels::Device& device) {
    for (const MatmulSizes& sizes : kSizes)
      for (int option = 0; option < kMatmulOptions; ++option)
        check_matmul(device, sizes, option, static_cast<std::size_t>(option) % 4);
    count_case(device.target);
  });
}

TEST_CASE("tiles_matmul: batches, each operand one for all or one for each") {
  for_each_tile_unit([](const kernels::Device& device) {
    for (const std::size_t stride_a : {0u, 99u})
      for (const std::size_t stride_b : {0u, 231u}) {
        const MatmulDims dims{
            .m = 9, .n = 21, .k = 11, .batch = 5, .stride_a = stride_a, .stride_b = stride_b, .stride_c = 189};
        Guarded<float> a(99 + 4 * stride_a), b(231 + 4 * stride_b), c(5 * 189);
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

TEST_CASE("tiles_matmul: highest is as exact as multiply-adds of floats, high to 1e-5, medium as bf16 is") {
  for (const std::size_t k : {64u, 576u, 2304u, 32768u}) {
    const MatmulDims dims{.m = 48, .n = 40, .k = k};
    std::vector<float> a(dims.m * k), b(k * dims.n);
    const Philox philox(9, 9);
    for (std::size_t i = 0; i < a.size(); ++i)
      a[i] = static_cast<float>(std::max(0.0, normal_pair(philox, i / 2)[i % 2]));
    for (std::size_t i = 0; i < b.size(); ++i)
      b[i] = static_cast<float>(normal_pair(philox, 10'000'000 + i / 2)[i % 2]);
    std::vector<double> expected(dims.m * dims.n);
    kernels::reference::matmul<double>(dims, std::span<const double>(widened(a)), widened(b), {}, expected);
    const Context context{{.threads = 2}};
    kernels::Device plain = context.device();
    const kernels::MatrixUnit fma{.name = "fma",
                                  .matmul = kernels::fma::matmul,
                                  .conv_forward = nullptr,
                                  .conv_backward_data = nullptr,
                                  .conv_backward_weights = nullptr};
    plain.unit = &fma;
    const double fma_error = relative_error(plain, dims, a, b, expected);
    for (const kernels::TileExecutor* executor : tile_executors())
      for (const Precision precision : {Precision::highest, Precision::high, Precision::medium}) {
        const kernels::MatrixUnit unit = kernels::tile_unit(*executor, precision, 0);
        kernels::Device device = context.device();
        device.unit = &unit;
        const double error = relative_error(device, dims, a, b, expected);
        INFO(unit.name << " terms " << unit.terms << " k " << k << ": " << error << ", by multiply-adds " << fma_error);
        if (precision == Precision::highest) CHECK(error <= fma_error);
        if (precision == Precision::high) CHECK(error <= 1e-5);
        if (precision == Precision::medium) CHECK((error <= 4e-3 && error >= 1e-4));
      }
  }
}

TEST_CASE("tiles_matmul: what is not finite, or too large for bf16, is answered by multiply-adds, bit for bit") {
  for_each_tile_unit([](const kernels::Device& device) {
    for (const float value : {static_cast<float>(NAN), static_cast<float>(-INFINITY), 3.4e38f})
      for (const bool left : {false, true})
        for (const bool accumulate : {false, true}) {
          const MatmulDims dims{.m = 40, .n = 50, .k = 70, .accumulate = accumulate};
          std::vector<float> a(dims.m * dims.k), b(dims.k * dims.n), c(dims.m * dims.n), expected;
          fill_random(a, 1);
          fill_random(b, 2);
          fill_random(c, 3);
          (left ? a : b).back() = value;
          expected = c;
          kernels::fma::matmul(device, dims, a.data(), b.data(), nullptr, expected.data());
          kernels::matmul(device, dims, std::span<const float>(a), b, {}, c);
          REQUIRE(std::memcmp(c.data(), expected.data(), c.size() * sizeof(float)) == 0);
        }
    count_case(device.target);
  });
}

TEST_CASE("tiles_matmul: the same bits at any number of threads") {
  const MatmulDims dims{.m = 300, .n = 200, .k = 150};
  std::vector<float> a(dims.m * dims.k), b(dims.k * dims.n);
  fill_random(a, 1);
  fill_random(b, 2);
  std::vector<std::vector<float>> alone;
  for (const int threads : {1, 2, 3, 7}) {
    std::size_t number = 0;
    for_each_tile_unit(
        [&](const kernels::Device& device) {
          std::vector<float> c(dims.m * dims.n);
          if (device.unit->executor == &kernels::emulated_tiles() && device.unit->terms != 1) return;
          kernels::matmul(device, dims, std::span<const float>(a), b, {}, c);
          if (threads == 1) alone.push_back(c);
          REQUIRE(std::memcmp(c.data(), alone[number++].data(), c.size() * sizeof(float)) == 0);
          count_case(device.target);
        },
        threads);
  }
}
