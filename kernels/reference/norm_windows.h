#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/reference/pool.h"

namespace tapestry::kernels {

// The windows of a norm that pools what it gives: they lie side by side and cover every position.
struct NormWindows {
  static constexpr std::size_t kMostTaps = 64;  // of a window: their offsets lie on the stack
  using Axes = std::array<std::size_t, 3>;

  Axes in{1, 1, 1}, kernel{1, 1, 1};  // positions of an image and of a window, one a multiple of the other

  std::size_t out(std::size_t axis) const { return in[axis] / kernel[axis]; }
  std::size_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  std::size_t image() const { return in[0] * in[1] * in[2]; }
  std::size_t rows() const { return out(0) * out(1); }  // of windows, those of an image
  // The same for pooling, over [positions / image, in, channels].
  PoolDims dims(std::size_t positions, std::size_t channels) const {
    return {.batch = positions / image(),
            .channels = channels,
            .in = in,
            .out = {out(0), out(1), out(2)},
            .kernel = kernel,
            .stride = kernel};
  }
};

// What a pooled norm keeps: x where the norm is largest, and the tap of the window that it lies at. Both may be empty
// in forward. No windows: the norm is not pooled.
template <class T>
struct NormPool {
  const NormWindows* windows = nullptr;
  std::span<T> largest = {};
  std::span<std::uint8_t> taps = {};
};

namespace reference {

// y = the largest of each window of `all`, which are the norms of x.
template <class T>
void pool_windows(const NormPool<T>& pool, std::size_t channels, std::span<const T> x, std::span<const T> all,
                  std::span<T> y) {
  const PoolDims dims = pool.windows->dims(x.size() / channels, channels);
  max_pool_forward(dims, all, y, pool.taps);
  for_pool_pairs(dims, [&](std::size_t at_y, std::size_t at_x, std::size_t tap, double) {
    for (std::size_t c = 0; c < channels && !pool.largest.empty(); ++c)
      if (pool.taps[at_y * channels + c] == tap) pool.largest[at_y * channels + c] = x[at_x * channels + c];
  });
}

// all = dy where the largest of a window lies, else 0.
template <class T>
void spread_windows(const NormPool<T>& pool, std::size_t channels, std::span<const T> dy, std::span<T> all) {
  max_pool_backward(pool.windows->dims(all.size() / channels, channels), std::span<const std::uint8_t>(pool.taps), dy,
                    all);
}

}  // namespace reference
}  // namespace tapestry::kernels
