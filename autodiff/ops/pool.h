// Pooling of channels-last images, x [N, in, C] to y [N, out, C], with one to three spatial axes.
#pragma once

#include "autodiff/ops/window.h"
#include "autodiff/var.h"

namespace tapestry {

template <int Axes>
struct MaxPoolOptions {
  Sizes<Axes> kernel = 0;   // to be given
  Sizes<Axes> stride = 0;   // 0: as the kernel
  Sizes<Axes> padding = 0;  // at most half of the kernel on each side; never the largest
  Sizes<Axes> dilation = 1;
  bool ceil_mode = false;  // windows may reach past the end, if they start within the input or the padding before it
  Location where = std::source_location::current();
};

// The largest element of each window, NaN if one is NaN; its gradient goes to the first of equal ones, or to the last
// NaN (torch.nn.functional.max_pool2d). Saves a byte an element of y, four for windows of more than 256 taps.
// ShapeError when x has no such axes, an empty one, or one too short for the kernel; ArgumentError for numbers out of
// range.
Var max_pool1d(const Var& x, const MaxPoolOptions<1>& options);
Var max_pool2d(const Var& x, const MaxPoolOptions<2>& options);
Var max_pool3d(const Var& x, const MaxPoolOptions<3>& options);

// Max pooling by windows that lie side by side, without a rank in its type: for ops that pool what they give.
struct PoolWindows {
  PoolWindows() = default;  // none
  template <int Axes>
  PoolWindows(const Sizes<Axes>& sizes, Location where = std::source_location::current())  // NOLINT: implicit
      : axes(Axes), kernel(spatial(sizes, 1)), where(where) {}

  int axes = 0;  // spatial ones, at the end of `kernel`
  Window::Axes kernel{1, 1, 1};
  Location where;
};
// max_pool1d to 3d with this kernel and nothing else; x itself for no windows. ArgumentError unless axes is in [0, 3].
Var max_pool(const Var& x, const PoolWindows& windows);

template <int Axes>
struct AvgPoolOptions {
  Sizes<Axes> kernel = 0;             // to be given
  Sizes<Axes> stride = 0;             // 0: as the kernel
  Sizes<Axes> padding = 0;            // zeros, at most half of the kernel on each side
  bool ceil_mode = false;             // as of MaxPoolOptions
  bool count_include_pad = true;      // divide by the positions in the padded input, otherwise by those in the input
  std::int64_t divisor_override = 0;  // divide by this instead; 0: no
  Location where = std::source_location::current();
};

// The mean of each window (torch.nn.functional.avg_pool2d). Saves nothing. Errors as of max_pool2d.
Var avg_pool1d(const Var& x, const AvgPoolOptions<1>& options);
Var avg_pool2d(const Var& x, const AvgPoolOptions<2>& options);
Var avg_pool3d(const Var& x, const AvgPoolOptions<3>& options);

template <int Axes>
struct AdaptivePoolOptions {
  Sizes<Axes> output_size = 0;  // 0: as x
  Location where = std::source_location::current();
};

// Windows that cut x into `output_size` parts: from floor(p in / out) to below ceil((p + 1) in / out)
// (torch.nn.functional.adaptive_max_pool2d, adaptive_avg_pool2d). Otherwise as above.
Var adaptive_max_pool1d(const Var& x, const AdaptivePoolOptions<1>& options);
Var adaptive_max_pool2d(const Var& x, const AdaptivePoolOptions<2>& options);
Var adaptive_max_pool3d(const Var& x, const AdaptivePoolOptions<3>& options);
Var adaptive_avg_pool1d(const Var& x, const AdaptivePoolOptions<1>& options);
Var adaptive_avg_pool2d(const Var& x, const AdaptivePoolOptions<2>& options);
Var adaptive_avg_pool3d(const Var& x, const AdaptivePoolOptions<3>& options);

// The shape that `op` gives for x [N, in, C], and its errors.
template <int Axes>
Shape pooled_shape(const char* op, const Shape& x, const MaxPoolOptions<Axes>& options);
template <int Axes>
Shape pooled_shape(const char* op, const Shape& x, const AvgPoolOptions<Axes>& options);
template <int Axes>
Shape pooled_shape(const char* op, const Shape& x, const AdaptivePoolOptions<Axes>& options);

struct GlobalPoolOptions {
  bool keepdim = false;  // [N, 1, ..., 1, C]
  Location where = std::source_location::current();
};

// The largest element or the mean over all positions: x [N, ..., C] to [N, C]. ShapeError without a position.
Var global_max_pool(const Var& x, const GlobalPoolOptions& options = {});
Var global_avg_pool(const Var& x, const GlobalPoolOptions& options = {});
Shape pooled_shape(const char* op, const Shape& x, const GlobalPoolOptions& options);

}  // namespace tapestry
