#include "kernels/conv.h"

#include <cstring>
#include <limits>

#include "tests/kernels/conv_problems.h"

using namespace tapestry;
using namespace tapestry::test;

namespace {

ConvDims depthwise(std::size_t channels, std::size_t multiplier, std::size_t size, std::size_t kernel, std::size_t pad,
                   std::size_t stride = 1) {
  return image(2, channels, channels * multiplier, size, kernel, pad, stride, 1, channels);
}

std::vector<ConvDims> shapes() {
  std::vector<ConvDims> all{
      // channels around the vectors of every target
      image(2, 1, 1, 1, 1), image(2, 1, 32, 9, 5), image(2, 3, 17, 7, 3, 1), image(2, 10, 33, 7, 3, 1),
      image(1, 17, 16, 13, 3, 1), image(2, 33, 48, 6, 3, 1), image(2, 16, 65, 5, 3, 1), image(1, 64, 31, 8, 3, 1),
      image(2, 5, 1, 8, 3), image(3, 8, 15, 4, 3, 1), image(1, 128, 2, 4, 3, 1), image(1, 2, 130, 4, 3, 1),
      // pixels: rows shorter and longer than tiles, one row, one column
      image(1, 4, 16, 14, 3, 1), image(1, 3, 16, 28, 3), image(5, 16, 32, 3, 3, 1), image(7, 16, 32, 2, 2),
      image(9, 6, 20, 1, 3, 1), conv_dims(2, 3, 18, 1, {1, 9, 1}, {1, 3, 1}, {1, 1, 1}, {0, 1, 0}, {1, 1, 1}),
      conv_dims(2, 3, 18, 1, {1, 1, 37}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}),
      conv_dims(1, 2, 17, 1, {1, 3, 131}, {1, 2, 4}, {1, 1, 1}, {0, 1, 2}, {1, 1, 1}),
      conv_dims(2, 4, 9, 1, {1, 5, 1}, {1, 2, 1}, {1, 2, 1}, {0, 0, 0}, {1, 1, 1}),
      // kernels: 1x1, even, oblong, as large as the image, larger than the image
      image(2, 17, 33, 7, 1), image(2, 3, 8, 7, 1, 0, 2), image(2, 3, 17, 6, 2, 1), image(2, 3, 17, 6, 4, 2),
      image(2, 3, 17, 5, 5), image(2, 3, 5, 3, 7, 3),
      conv_dims(2, 3, 17, 1, {1, 6, 11}, {1, 1, 7}, {1, 1, 1}, {0, 0, 3}, {1, 1, 1}),
      // strides, some larger than the kernel; dilation; positions that see padding alone
      image(2, 3, 17, 9, 3, 1, 2), image(2, 8, 16, 8, 3, 1, 2), image(2, 5, 16, 11, 2, 0, 3),
      image(2, 5, 7, 10, 1, 0, 4), image(2, 3, 17, 9, 3, 2, 1, 2), image(1, 6, 18, 13, 3, 1, 2, 3),
      image(2, 4, 9, 3, 1, 2), image(1, 3, 16, 2, 2, 3, 2), image(2, 3, 8, 4, 2, 4, 5),
      conv_dims(2, 3, 17, 1, {1, 7, 10}, {1, 3, 2}, {1, 2, 3}, {0, 2, 1}, {1, 1, 4}),
      image(2, 3, 17, 5, 2, 1, 2147483647), line(1, 2, 5, 9, 3, 4, 2147483647, 3),
      // more padding behind than before, and output positions fewer than there could be
      conv_dims(2, 3, 17, 1, {1, 5, 6}, {1, 2, 4}, {1, 1, 1}, {0, 0, 1}, {1, 1, 1}, 1),
      // groups and depthwise
      image(2, 6, 34, 6, 3, 1, 1, 1, 2), image(2, 32, 32, 5, 3, 1, 1, 1, 2), image(2, 9, 12, 5, 3, 1, 2, 1, 3),
      image(2, 8, 4, 5, 2, 0, 1, 2, 4), depthwise(1, 1, 5, 3, 1), depthwise(3, 1, 7, 3, 1), depthwise(17, 1, 7, 3, 1),
      depthwise(33, 1, 6, 5, 2, 2), depthwise(64, 1, 4, 3, 1), depthwise(5, 2, 6, 3, 0), depthwise(16, 3, 5, 3, 1, 2),
      // 1-D
      line(1, 1, 1, 1, 1), line(2, 3, 17, 40, 3, 1), line(3, 10, 33, 13, 5, 2, 2), line(2, 1, 16, 100, 9, 4, 1, 1),
      line(2, 16, 16, 31, 3, 4, 1, 4), line(2, 12, 12, 20, 3, 1, 1, 1, 12), line(4, 7, 31, 6, 2, 0, 5),
      // 3-D
      conv_dims(2, 1, 16, 1, {4, 7, 7}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}),
      conv_dims(1, 5, 18, 1, {5, 4, 3}, {2, 3, 1}, {2, 1, 1}, {1, 1, 0}, {1, 1, 1}),
      conv_dims(2, 4, 9, 1, {3, 3, 3}, {3, 3, 3}, {1, 2, 1}, {2, 1, 2}, {2, 1, 2}),
      conv_dims(1, 6, 6, 3, {4, 3, 5}, {2, 2, 2}, {1, 1, 2}, {0, 1, 1}, {1, 1, 1}),
      conv_dims(2, 17, 17, 17, {3, 4, 4}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}),
      // work for several chunks
      image(3, 16, 40, 24, 3, 1), image(40, 8, 16, 8, 3, 1), image(2, 1, 16, 60, 3, 1), image(9, 16, 24, 13, 3, 1),
      image(8, 48, 70, 5, 3, 1),
      // nothing at all
      image(0, 3, 17, 5, 3, 1)};
  ConvDims shortened = image(2, 3, 17, 9, 3, 1, 2);
  shortened.out = {1, 3, 4};
  all.push_back(shortened);
  return all;
}

}  // namespace

TEST_CASE("conv: all passes on every target against plain loops in double, misaligned, between guard zones") {
  std::vector<ConvProblem> problems;
  for (ConvDims dims : shapes())
    for (bool biased : {false, true}) {
      dims.relu = biased == (problems.size() % 4 < 2);  // relu with bias and without, over the shapes
      problems.emplace_back(dims, biased, Numbers::real, 10 * problems.size());
    }
  for_each_target([&](const kernels::Device& device) {
    poison(device);
    for (const ConvProblem& problem : problems)
      for (const std::size_t misalignment : kMisalignments) {
        check_passes(device, problem, misalignment, 4e-6);
        count_case(device.target);
      }
  });
}

TEST_CASE("conv: few outputs in rows of every length, with each edge, exactly") {
  std::vector<ConvProblem> problems;
  const auto add = [&](ConvDims dims) {
    dims.relu = problems.size() % 3 == 0;
    if (dims.out[2] != 0) problems.emplace_back(dims, problems.size() % 2 == 0, Numbers::whole, 100 + problems.size());
  };
  constexpr std::size_t kColumns[] = {1, 3, 4, 7, 8, 13, 16};
  for (const std::size_t kernel : {3u, 5u})
    for (std::size_t size = 1; size < 60; size += size < 33 ? 1 : 6)
      for (std::size_t pad = 0; pad <= 5; ++pad)
        add(conv_dims(2, 1 + size % 3, kColumns[(size + pad) % 7], 1, {1, 1 + pad % 3, size}, {1, 2, kernel}, {1, 1, 1},
                      {0, 1, pad}, {1, 1, 1}, pad == 3 ? 2 : 0));
  for (const std::size_t kernel : {3u, 5u}) {
    add(image(3, 12, 12, 9, kernel, 1, 1, 1, 3));
    add(image(2, 32, 32, 9, kernel, 2, 1, 1, 2));
    add(conv_dims(2, 3, 8, 1, {3, 4, 11}, {2, 3, kernel}, {1, 2, 1}, {1, 0, 1}, {2, 1, 1}));
    add(line(1, 8, 4, 13'000, kernel, 1));  // rows that are cut into boxes
  }
  for_each_target([&](const kernels::Device& device) {
    poison(device);
    for (const ConvProblem& problem : problems) {
      check_passes(device, problem, problem.dims.in[2] % 2, 0);
      count_case(device.target);
    }
  });
}

TEST_CASE("conv: a NaN reaches the outputs that see it, and no other") {
  for_each_target([](const kernels::Device& device) {
    for (const ConvDims& dims : {image(2, 5, 35, 9, 3, 1), image(2, 5, 4, 9, 3, 2), image(2, 3, 16, 9, 2, 1, 2),
                                 image(2, 17, 17, 8, 3, 1, 1, 1, 17)}) {
      ConvProblem problem(dims, true, Numbers::whole, 3);
      for (float& w : problem.weight) w = 1;
      problem.x[(1 * dims.in[1] + 4) * dims.in[2] * dims.in_channels + 3 * dims.in_channels + 2] = NAN;  // in image 0
      problem.x.back() = INFINITY;
      ConvProblem expected = problem;
      kernels::reference::conv_forward<double>(dims, std::span<const double>(widened(problem.x)),
                                               widened(problem.weight), widened(problem.bias), expected.y);
      std::vector<float> y(dims.y_size());
      kernels::conv_forward(device, dims, std::span<const float>(problem.x), problem.weight, problem.bias, y);
      INFO(to_string(dims));
      require_close(y, expected.y, 0);
      count_case(device.target);
    }
  });
}

TEST_CASE("conv: relu keeps NaN and gives 0 for what is below") {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kPixels[] = {-1, 0, 1, kNan, 2, -kInfinity, kInfinity, -3, 3};
  for_each_target([&](const kernels::Device& device) {
    for (ConvDims dims : {image(1, 1, 33, 3, 1), image(1, 33, 33, 3, 1, 0, 1, 1, 33)}) {
      dims.relu = true;
      std::vector<float> x, weight(33, 1.0f), y(dims.y_size());
      for (const float pixel : kPixels) x.insert(x.end(), dims.in_channels, pixel);
      kernels::conv_forward(device, dims, std::span<const float>(x), weight, {}, y);
      for (std::size_t i = 0; i < y.size(); ++i) {
        const float value = kPixels[i / 33];
        REQUIRE((std::isnan(value) ? std::isnan(y[i]) : y[i] == std::max(value, 0.0f)));
      }
      count_case(device.target);
    }
  });
}

TEST_CASE("conv: the same bits at any number of threads, where the batch is split too") {
  const ConvDims dims[] = {
      image(37, 8, 16, 8, 3, 1),     image(128, 16, 8, 6, 3),
      image(3, 1, 32, 28, 5),        image(16, 64, 64, 4, 3, 1),
      image(200, 5, 7, 1, 1),        image(2, 3, 64, 32, 3, 1),
      image(65, 32, 32, 5, 3, 1, 2), image(130, 1, 16, 12, 3),
      depthwise(32, 1, 20, 3, 1),    image(1, 40, 96, 12, 3, 1),
      line(50, 12, 24, 33, 5, 2),    conv_dims(9, 4, 16, 1, {4, 8, 8}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1})};
  std::vector<ConvProblem> problems;
  for (const ConvDims& d : dims) problems.emplace_back(d, true, Numbers::real, 7 + problems.size());
  for (const Target target : tested_targets()) {
    std::vector<std::vector<float>> alone;
    for (const int threads : {1, 2, 3, 7}) {
      const Context context{{.threads = threads, .target = target}};
      for (std::size_t i = 0; i < problems.size(); ++i) {
        poison(context.device());
        const std::vector<float> found = run_passes(context.device(), problems[i]);
        if (threads == 1) alone.push_back(found);
        INFO("target " << target_name(target) << ", threads " << threads << ", " << to_string(problems[i].dims));
        REQUIRE(std::memcmp(found.data(), alone[i].data(), found.size() * sizeof(float)) == 0);
        count_case(target);
      }
    }
  }
}
