// Max pooling of what a norm gives, in the passes of the norm: for windows that lie side by side and cover every
// position.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "kernels/dims.h"
#include "kernels/norm/columns.h"

namespace tapestry::kernels {

struct NormWindows {
  static constexpr std::size_t kMostTaps = 64;
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

// A range of rows of windows; x and out are those of all positions, the others those of all windows.
struct NormWindowRows {
  const NormWindows& windows;
  std::size_t channels, begin, end;
  bool relu;
  bool stream;  // whether floats that are written, which are aligned to vectors, go past the caches
};

// Of all windows: what comes of them, x where that is, and its tap; the latter two may be nullptr in forward.
struct NormWindowValues {
  float *y, *largest;
  std::uint8_t* taps;
};

// y = the largest (x - center) scale + offset of a window, NaN if one is NaN; max(y, 0) for a ReLU.
void normalize_windows(Target, const NormWindowRows&, const float* x, const NormColumns&, const NormWindowValues& to);
// out = dx, where dy is the gradient of the largest of each window.
void gradient_windows(Target, const NormWindowRows&, const float* x, const NormWindowValues& from, const float* dy,
                      const NormColumns&, float* out);

}  // namespace tapestry::kernels
