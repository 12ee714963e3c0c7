#include "kernels/resize.h"

#include "tests/catch.h"
#include "tests/support/targets.h"

using namespace tapestry;
using namespace tapestry::test;
using kernels::ResizeDims;
using kernels::ResizeKind;

namespace {

std::vector<ResizeDims> forms() {
  using enum ResizeKind;
  std::vector<ResizeDims> all;
  for (ResizeKind kind : {nearest, linear, linear_corners})
    for (const auto& [in, out] :
         std::initializer_list<std::pair<ResizeDims::Axes, ResizeDims::Axes>>{{{1, 1, 5}, {1, 1, 10}},
                                                                              {{1, 1, 7}, {1, 1, 3}},
                                                                              {{1, 4, 5}, {1, 8, 10}},
                                                                              {{1, 6, 5}, {1, 9, 2}},
                                                                              {{1, 1, 1}, {1, 4, 1}},
                                                                              {{1, 21, 19}, {1, 33, 50}},
                                                                              {{2, 3, 4}, {4, 3, 7}},
                                                                              {{3, 3, 3}, {1, 1, 1}}})
      all.push_back({.kind = kind, .batch = 2, .in = in, .out = out});
  all.push_back({.kind = nearest, .batch = 2, .in = {1, 4, 5}, .out = {1, 6, 7}, .scale = {0, 1.7, 1.5}});
  all.push_back({.kind = linear, .batch = 2, .in = {1, 4, 5}, .out = {1, 6, 7}, .scale = {0, 1.7, 1.5}});
  for (ResizeKind kind : {reflect, replicate, circular}) {
    all.push_back({.kind = kind, .batch = 2, .in = {1, 1, 4}, .out = {1, 1, 10}, .before = {0, 0, 3}});
    all.push_back({.kind = kind, .batch = 2, .in = {1, 5, 3}, .out = {1, 9, 5}, .before = {0, 0, 2}});
    all.push_back({.kind = kind, .batch = 2, .in = {2, 3, 4}, .out = {3, 5, 4}, .before = {1, 2, 0}});
  }
  return all;
}

}  // namespace

TEST_CASE("resize: every target, kind, number of channels and alignment against plain loops in double") {
  for_each_target([](const kernels::Device& device) {
    for (ResizeDims d : forms())
      for (std::size_t channels : {0u, 1u, 3u, 8u, 17u, 37u, 64u})
        for (std::size_t misalignment : kMisalignments) {
          d.channels = channels;
          Guarded<float> x(d.x_size(), misalignment), y(d.y_size(), misalignment, 9), dy(d.y_size(), misalignment),
              dx(d.x_size(), misalignment, 9);
          fill_random(x.span(), d.x_size());
          fill_random(dy.span(), d.y_size());
          std::vector<double> expected(d.y_size()), expected_dx(d.x_size());
          kernels::resize_forward(device, d, widened(x.span()), expected);
          kernels::resize_forward(device, d, std::as_const(x).span(), y.span());
          kernels::resize_backward(device, d, widened(dy.span()), expected_dx);
          kernels::resize_backward(device, d, std::as_const(dy).span(), dx.span());
          INFO("kind " << static_cast<int>(d.kind) << " in " << d.in[0] << " " << d.in[1] << " " << d.in[2] << " out "
                       << d.out[0] << " " << d.out[1] << " " << d.out[2] << " channels " << channels);
          require_close(y.span(), expected, 1e-6);
          require_close(dx.span(), expected_dx, 1e-6);
          REQUIRE((x.intact() && y.intact() && dy.intact() && dx.intact()));
          count_case(device.target);
        }
  });
}
