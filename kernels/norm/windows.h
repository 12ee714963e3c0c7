// Max pooling of what a norm gives, in the passes of the norm.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/norm/columns.h"
#include "kernels/reference/norm_windows.h"

namespace tapestry::kernels {

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
