// What convolutions do beside each image: once an image, at the right time, whatever the order of images.
#include <atomic>
#include <vector>

#include "kernels/conv.h"
#include "tests/kernels/conv_problems.h"

using namespace tapestry;
using namespace tapestry::test;
using kernels::Device;
using kernels::ImageSteps;

namespace {

// Large and small images, few and many; strides, one tap, depthwise, a weight too large to stay.
const ConvDims kDims[] = {
    conv_dims(9, 16, 32, 1, {1, 24, 24}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}),
    conv_dims(8, 3, 64, 1, {1, 17, 16}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}),
    conv_dims(8, 24, 33, 1, {5, 11, 10}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}),
    conv_dims(8, 33, 17, 1, {1, 32, 31}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}),
    conv_dims(8, 8, 64, 1, {1, 1, 513}, {1, 1, 3}, {1, 1, 2}, {0, 0, 1}, {1, 1, 1}),
    conv_dims(8, 16, 64, 2, {1, 1025, 1}, {1, 3, 1}, {1, 2, 1}, {0, 1, 0}, {1, 1, 1}),
    conv_dims(9, 16, 16, 16, {1, 32, 32}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}),
    conv_dims(16, 64, 64, 1, {1, 4, 4}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}),
    conv_dims(2, 16, 64, 1, {1, 20, 20}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}),
};

std::vector<float> random(std::size_t size, std::uint64_t seed) {
  std::vector<float> values(size);
  fill_random(std::span<float>(values), seed);
  return values;
}

// Runs convolve(out, steps), whose input `in` is complete only once `before` has run for an image, and whose output
// `after` sees image by image.
template <class Convolve>
void check(std::size_t images, std::vector<float> in, std::size_t out_size, const Convolve& convolve) {
  std::vector<float> expected(out_size), found(out_size), seen(out_size);
  convolve(in, expected, ImageSteps{});
  const std::vector<float> whole = in;
  std::fill(in.begin(), in.end(), 1e30f);
  std::vector<std::atomic<int>> filled(images), finished(images);
  const auto part = [&](auto& values, std::size_t image) {
    const std::size_t size = values.size() / images;
    return std::span(values).subspan(image * size, size);
  };
  const auto fill = [&](std::size_t image) {
    std::ranges::copy(part(whole, image), part(in, image).begin());
    ++filled[image];
  };
  const auto keep = [&](std::size_t image) {
    std::ranges::copy(part(found, image), part(seen, image).begin());
    ++finished[image];
  };
  const ImageSteps::Step before = fill, after = keep;
  convolve(in, found, ImageSteps{.before = &before, .after = &after});
  REQUIRE(std::ranges::all_of(filled, [](int count) { return count == 1; }));
  REQUIRE(std::ranges::all_of(finished, [](int count) { return count == 1; }));
  REQUIRE(seen == found);
  require_close(found, widened(expected), 2e-6);
}

}  // namespace

TEST_CASE("conv kernels: steps beside each image, forward") {
  for_each_target([](const Device& device) {
    for (const ConvDims& d : kDims) {
      const std::vector<float> weight = random(d.weight_size(), 2), bias = random(d.out_channels, 3);
      check(d.batch, random(d.x_size(), 1), d.y_size(), [&](const auto& x, auto& y, const ImageSteps& steps) {
        kernels::conv_forward(device, d, x, weight, bias, y, steps);
      });
      count_case(device.target);
    }
  });
}

TEST_CASE("conv kernels: steps beside each image, backward to the data") {
  for_each_target([](const Device& device) {
    for (const ConvDims& d : kDims) {
      const std::vector<float> weight = random(d.weight_size(), 2);
      check(d.batch, random(d.y_size(), 1), d.x_size(), [&](const auto& dy, auto& dx, const ImageSteps& steps) {
        kernels::conv_backward_data(device, d, weight, dy, dx, steps);
      });
      count_case(device.target);
    }
  });
}

TEST_CASE("conv kernels: steps beside each image, in double") {
  const Context context{{.threads = 2}};
  const ConvDims d = conv_dims(3, 2, 4, 1, {1, 5, 5}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1});
  std::vector<double> x(d.x_size()), y(d.y_size());
  const std::vector<double> weight(d.weight_size());
  std::atomic<int> befores = 0, afters = 0;
  const auto count_before = [&](std::size_t) { ++befores; };
  const auto count_after = [&](std::size_t) { ++afters; };
  const ImageSteps::Step before = count_before, after = count_after;
  kernels::conv_forward(context.device(), d, x, weight, {}, y, {.before = &before, .after = &after});
  kernels::conv_backward_data(context.device(), d, weight, y, x, {.before = &before, .after = &after});
  REQUIRE(befores == 6);
  REQUIRE(afters == 6);
}
