#include <array>

#include "tests/kernels/conv_problems.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

ConvDims grouped_image(std::size_t batch, std::size_t in_channels, std::size_t out_channels, std::size_t groups,
                       std::size_t size, std::size_t kernel, std::size_t pad, std::size_t stride = 1) {
  return conv_dims(batch, in_channels, out_channels, groups, {1, size, size}, {1, kernel, kernel}, {1, stride, stride},
                   {0, pad, pad}, {1, 1, 1});
}
ConvDims grouped_line(std::size_t channels, std::size_t out_channels, std::size_t groups, std::size_t size,
                      std::size_t pad) {
  return conv_dims(2, channels, out_channels, groups, {1, 1, size}, {1, 1, 3}, {1, 1, 1}, {0, 0, pad}, {1, 1, 1});
}

void check_exact(std::span<const ConvDims> all) {
  std::vector<ConvProblem> problems;
  for (const ConvDims& d : all) problems.emplace_back(d, true, Numbers::whole, 3 * problems.size());
  for_each_target([&](const kernels::Device& device) {
    poison(device);
    for (const ConvProblem& problem : problems) {
      check_passes(device, problem, 1, 0);
      count_case(device.target);
    }
  });
}

}  // namespace

TEST_CASE("conv_weights: blocks of several images, parts of images and parts of rows, in one chunk and in several") {
  const ConvDims dims[] = {grouped_image(300, 9, 20, 1, 4, 3, 1), grouped_image(3, 17, 33, 1, 40, 3, 1),
                           grouped_image(70, 1, 5, 1, 9, 3, 0),   grouped_image(70, 3, 40, 1, 9, 2, 1),
                           grouped_line(8, 10, 1, 5000, 1),       grouped_line(2, 33, 1, 5000, 0),
                           grouped_image(20, 8, 9, 1, 16, 1, 0),  grouped_image(2, 40, 34, 2, 33, 2, 0),
                           grouped_image(2, 16, 530, 1, 6, 3, 1)};
  check_exact(dims);
}

TEST_CASE(
    "conv_weights: few outputs, whose tiles span the taps of a row, over rows short and long, and their paddings") {
  std::vector<ConvDims> dims;
  for (const std::size_t outputs : {1u, 3u, 4u, 7u, 8u, 13u, 16u})
    for (const std::size_t kernel : {3u, 5u}) {
      const std::size_t channels = 7 + outputs;
      dims.push_back(grouped_image(2, channels, outputs, 1, 7, kernel, 0));
      dims.push_back(grouped_image(3, channels + 11, outputs, 1, 4, kernel, kernel / 2));
      dims.push_back(
          grouped_image(2, 2 * channels, 2 * outputs, 2, 2, kernel, kernel - 1));  // x narrower than the kernel
      dims.push_back(grouped_image(5, 9, outputs, 1, 1, kernel, kernel / 2));      // one position of each row
      dims.push_back(grouped_image(1, 8, outputs, 1, 3, kernel, 6));               // outputs that see the padding alone
      dims.push_back(grouped_image(1, 10, outputs, 1, 37, kernel, 1));
    }
  dims.push_back(grouped_line(10, 1, 1, 700, 1));
  dims.push_back(grouped_line(24, 12, 3, 5000, 0));
  dims.push_back(grouped_line(9, 16, 1, 33, 4));
  dims.push_back(grouped_image(80, 16, 16, 1, 10, 3, 0));
  dims.push_back(conv_dims(2, 18, 4, 2, {4, 7, 6}, {2, 3, 3}, {2, 1, 1}, {1, 2, 0}, {1, 2, 1}));
  dims.push_back(conv_dims(2, 11, 15, 1, {5, 3, 9}, {3, 1, 5}, {1, 2, 1}, {1, 0, 3}, {1, 1, 1}));
  check_exact(dims);
}

TEST_CASE("conv_weights: depthwise, with few and many outputs for each channel, over small, large and long images") {
  const ConvDims dims[] = {grouped_image(70, 20, 20, 20, 4, 3, 1),  grouped_image(5, 37, 37, 37, 31, 3, 1),
                           grouped_image(3, 5, 20, 5, 9, 3, 1),     grouped_image(3, 5, 25, 5, 9, 3, 1),
                           grouped_image(4, 16, 32, 16, 20, 5, 2),  grouped_image(9, 18, 18, 18, 8, 6, 3, 2),
                           grouped_image(2, 3, 6, 3, 3, 2, 4, 3),   grouped_line(33, 33, 33, 700, 1),
                           grouped_line(3, 3, 3, 2500, 0),          grouped_image(100, 16, 16, 16, 13, 1, 0),
                           grouped_image(1, 130, 130, 130, 3, 3, 1)};
  std::vector<ConvProblem> problems;
  for (ConvDims d : dims) {
    d.relu = problems.size() % 2 == 0;
    problems.emplace_back(d, problems.size() % 3 != 0, Numbers::whole, 3 * problems.size());
  }
  for_each_target([&](const kernels::Device& device) {
    poison(device);
    for (const ConvProblem& problem : problems)
      for (const std::size_t misalignment : kMisalignments) {
        check_passes(device, problem, misalignment, 0);
        count_case(device.target);
      }
  });
}

TEST_CASE("conv_weights: the error of a sum over many pixels is that of short sums") {
  const ConvDims dims = grouped_image(64, 9, 3, 1, 32, 1, 0), depthwise = grouped_image(64, 3, 3, 3, 32, 1, 0);
  const ConvDims rows = grouped_image(64, 9, 1, 1, 32, 3, 0);
  for (const ConvDims& d : {dims, depthwise, rows}) {
    std::vector<float> x(d.x_size()), dy(d.y_size());
    fill_random(x, 1, 0, 1);  // all of one sign: a single running sum would be off by 1e-5
    fill_random(dy, 2, 0, 1);
    std::vector<double> expected(d.weight_size()), expected_bias(d.out_channels);
    kernels::reference::conv_backward_weights<double>(d, std::span<const double>(widened(x)), widened(dy), expected,
                                                      expected_bias);
    for_each_target([&](const kernels::Device& device) {
      std::vector<float> dweight(d.weight_size()), dbias(d.out_channels);
      kernels::conv_backward_weights(device, d, std::span<const float>(x), dy, dweight, dbias);
      require_close(dweight, expected, 1e-6);
      require_close(dbias, expected_bias, 1e-7);
      count_case(device.target);
    });
  }
}
