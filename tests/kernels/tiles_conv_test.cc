// Convolutions by tiles: every unit at every precision, against plain loops in double.
#include <cmath>
#include <cstring>

#include "kernels/conv.h"
#include "tests/kernels/conv_problems.h"
#include "tests/kernels/tile_units.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

std::vector<ConvDims> shapes() {
  return {// channels around a tile; one pixel; rows around 16
          image(2, 1, 1, 1, 1), image(2, 5, 17, 7, 3, 1), image(1, 33, 16, 13, 3, 1), image(2, 16, 33, 6, 3, 1),
          image(1, 40, 20, 16, 3, 1), image(1, 3, 8, 17, 5, 2), image(5, 32, 32, 4, 3, 1), image(3, 7, 9, 1, 1),
          image(2, 17, 33, 7, 1), image(9, 6, 20, 1, 3, 1),
          // a gradient of the weights that all threads sum together
          image(1, 132, 140, 3, 3, 1),
          // padding on neither side, of any width, more behind than before
          image(2, 8, 17, 9, 3), image(2, 3, 17, 6, 4, 2), image(2, 3, 17, 6, 2, 1), image(2, 4, 5, 3, 7, 3),
          conv_dims(1, 3, 17, 1, {1, 5, 6}, {1, 2, 4}, {1, 1, 1}, {0, 0, 1}, {1, 1, 1}, 1),
          // strides and dilation, with and without common divisors
          image(2, 8, 16, 9, 3, 1, 2), image(2, 8, 16, 8, 3, 1, 2), image(2, 5, 16, 11, 2, 0, 3),
          image(2, 5, 7, 10, 1, 0, 4), image(2, 3, 17, 9, 3, 2, 1, 2), image(1, 6, 18, 13, 3, 1, 2, 3),
          image(1, 6, 18, 13, 3, 1, 4, 2), image(1, 6, 18, 13, 3, 1, 2, 2),
          conv_dims(2, 3, 17, 1, {1, 7, 10}, {1, 3, 2}, {1, 2, 3}, {0, 2, 1}, {1, 1, 4}),
          // groups, depthwise
          image(2, 6, 34, 6, 3, 1, 1, 1, 2), image(2, 9, 12, 5, 3, 1, 2, 1, 3), image(2, 5, 10, 7, 3, 1, 1, 1, 5),
          // 1-D and 3-D
          conv_dims(2, 3, 17, 1, {1, 1, 40}, {1, 1, 3}, {1, 1, 1}, {0, 0, 1}, {1, 1, 1}),
          conv_dims(2, 16, 16, 1, {1, 1, 31}, {1, 1, 3}, {1, 1, 1}, {0, 0, 4}, {1, 1, 4}),
          conv_dims(2, 3, 18, 1, {1, 9, 1}, {1, 3, 1}, {1, 1, 1}, {0, 1, 0}, {1, 1, 1}),
          conv_dims(2, 2, 16, 1, {4, 7, 7}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}),
          conv_dims(1, 5, 18, 1, {5, 4, 3}, {2, 3, 1}, {2, 1, 1}, {1, 1, 0}, {1, 1, 1}),
          conv_dims(1, 6, 6, 3, {4, 3, 5}, {2, 2, 2}, {1, 1, 2}, {0, 1, 1}, {1, 1, 1}),
          // nothing at all
          image(0, 3, 17, 5, 3, 1)};
}

// Large enough for several boxes, cut along each axis.
std::vector<ConvDims> large_shapes() {
  return {image(20, 32, 40, 28, 3, 1),
          image(40, 64, 33, 4, 3, 1),
          image(1, 20, 16, 70, 5, 2, 2),
          image(1, 64, 64, 120, 3, 1),
          image(4, 140, 140, 28, 3, 1, 2),
          conv_dims(1, 70, 20, 1, {1, 1, 9000}, {1, 1, 3}, {1, 1, 1}, {0, 0, 1}, {1, 1, 1}),
          conv_dims(3, 24, 32, 1, {9, 20, 20}, {3, 3, 3}, {1, 2, 1}, {1, 1, 1}, {1, 1, 1})};
}

}  // namespace

TEST_CASE("tiles_conv: all passes of every unit against plain loops in double, misaligned, between guard zones") {
  std::vector<ConvProblem> problems;
  for (ConvDims dims : shapes()) {
    dims.relu = problems.size() % 3 == 0;
    problems.emplace_back(dims, problems.size() % 2 == 0, Numbers::whole, 10 * problems.size());
  }
  for_each_tile_unit([&](const kernels::Device& device) {
    poison(device);
    for (std::size_t i = 0; i < problems.size(); ++i) {
      check_passes(device, problems[i], i % 4, 0);
      count_case(device.target);
    }
  });
}

TEST_CASE("tiles_conv: boxes cut along every axis, and real numbers to what each precision promises") {
  const kernels::TileExecutor* fastest = tile_executors().back();
  std::vector<ConvProblem> problems;
  for (const ConvDims& dims : large_shapes())
    if (problems.empty() || fastest != &kernels::emulated_tiles())
      problems.emplace_back(dims, true, Numbers::real, problems.size());
  const Context context{{.threads = 2}};
  for (const Precision precision : {Precision::highest, Precision::high, Precision::medium}) {
    const kernels::MatrixUnit unit = kernels::tile_unit(*fastest, precision, 0);
    kernels::Device device = context.device();
    device.unit = &unit;
    poison(device);
    for (const ConvProblem& problem : problems) check_passes(device, problem, 1, tile_tolerance(precision));
  }
}

TEST_CASE("tiles_conv: a NaN reaches the outputs that see it, and no other, and infinity stays infinity") {
  for_each_tile_unit([](const kernels::Device& device) {
    for (const ConvDims& dims : {image(2, 5, 35, 9, 3, 1), image(2, 17, 17, 8, 3, 1, 2)}) {
      ConvProblem problem(dims, true, Numbers::whole, 3);
      problem.x[(1 * dims.in[1] + 4) * dims.in[2] * dims.in_channels + 3 * dims.in_channels + 2] = NAN;
      problem.x.back() = INFINITY;
      problem.dy.front() = -INFINITY;
      std::vector<float> found(dims.y_size()), expected(dims.y_size()), dx(dims.x_size()), expected_dx(dims.x_size());
      using In = std::span<const float>;
      kernels::conv_forward(device, dims, In(problem.x), problem.weight, problem.bias, found);
      kernels::fma::conv_forward(device, dims, problem.x.data(), problem.weight.data(), problem.bias.data(),
                                 expected.data());
      kernels::conv_backward_data(device, dims, In(problem.weight), problem.dy, dx);
      kernels::fma::conv_backward_data(device, dims, problem.weight.data(), problem.dy.data(), expected_dx.data());
      std::vector<float> dweight = problem.dweight, expected_dweight = dweight;
      kernels::conv_backward_weights(device, dims, In(problem.x), problem.dy, dweight, {});
      kernels::fma::conv_backward_weights(device, dims, problem.x.data(), problem.dy.data(), expected_dweight.data(),
                                          nullptr);
      INFO(to_string(dims));
      REQUIRE(std::memcmp(dweight.data(), expected_dweight.data(), dweight.size() * sizeof(float)) == 0);
      REQUIRE(std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)) == 0);
      REQUIRE(std::memcmp(dx.data(), expected_dx.data(), dx.size() * sizeof(float)) == 0);
      count_case(device.target);
    }
  });
}

TEST_CASE("tiles_conv: taps shared out among threads where channels are few for the size of the weights") {
  const ConvProblem problem(line(2, 64, 64, 60, 41, 20), true, Numbers::whole, 7);
  for_each_tile_unit([&](const kernels::Device& device) {
    poison(device);
    check_passes(device, problem, 1, 0);
    count_case(device.target);
  });
}

TEST_CASE("tiles_conv: the same bits at any number of threads") {
  const ConvProblem problems[] = {{image(37, 8, 16, 8, 3, 1), true, Numbers::real, 1},
                                  {image(16, 64, 64, 4, 3, 1), true, Numbers::real, 2},
                                  {image(2, 32, 32, 40, 3, 1, 2), true, Numbers::real, 3},
                                  {image(3, 140, 140, 6, 3, 1), true, Numbers::real, 4},
                                  {line(2, 64, 64, 60, 41, 20), true, Numbers::real, 5}};
  const kernels::TileExecutor* fastest = tile_executors().back();
  for (const Precision precision : {Precision::highest, Precision::medium}) {
    const kernels::MatrixUnit unit = kernels::tile_unit(*fastest, precision, 0);
    std::vector<std::vector<float>> alone;
    for (const int threads : {1, 2, 3, 7}) {
      const Context context{{.threads = threads}};
      kernels::Device device = context.device();
      device.unit = &unit;
      for (std::size_t i = 0; i < std::size(problems); ++i) {
        poison(device);
        const std::vector<float> found = run_passes(device, problems[i]);
        if (threads == 1) alone.push_back(found);
        REQUIRE(std::memcmp(found.data(), alone[i].data(), found.size() * sizeof(float)) == 0);
      }
    }
  }
}
