// The sizes that kernels work on; shapes of tensors are reduced to these at the op's door.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tapestry::kernels {

struct Meter;

// C[M,N] = op(A)[M,K] op(B)[K,N], `batch` times; strides are in elements from one matrix of the batch to the next.
struct MatmulDims {
  std::size_t m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;
  bool accumulate = false;  // C += instead of C =
  std::size_t batch = 1, stride_a = 0, stride_b = 0, stride_c = 0;
};

// A task of a product: columns [column, column + columns) of rows [row, row_end) of C.
struct MatmulPanel {
  std::size_t row, row_end, column, columns;
  Meter* meter = nullptr;  // of packing
};

// How a product is computed: by panels of columns; by several panels at once where sums are short; with vectors along
// the rows of C, or along k, where columns do not fill a vector.
enum class MatmulForm { panel, short_panels, flipped, dots };

struct MatmulPlan {
  MatmulForm form;
  std::size_t rows, columns;  // of C, for a task
  std::size_t scratch;        // floats for a task
  std::size_t dot_depth = 0;  // dots: k at a time, packed by one task
};

// A convolution (cross-correlation) of x [N, in, C] with weight [kernel, C/groups, O] to y [N, out, O]. There are three
// spatial axes; those of 1-D and 2-D come last, and axes that are missing have size 1. Position p of y reads the
// positions p stride - pad + tap dilation of x; what lies outside x is zero.
struct ConvDims {
  using Axes = std::array<std::size_t, 3>;
  std::size_t batch = 0, in_channels = 1, out_channels = 1, groups = 1;
  Axes in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1};
  Axes pad{};         // before the first position; what is needed behind the last one follows from `out`
  bool relu = false;  // forward alone: y = max(y, 0)

  std::size_t x_size() const { return batch * in[0] * in[1] * in[2] * in_channels; }
  std::size_t y_size() const { return batch * out[0] * out[1] * out[2] * out_channels; }
  std::size_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  std::size_t weight_size() const { return taps() * (in_channels / groups) * out_channels; }
};

// Windows over x [N, in, C], each of which gives a position of y [N, out, C]; axes as in ConvDims. Window p joins the
// positions p stride - pad + t dilation for the taps t < kernel, or, when `adaptive`, those from floor(p in / out) to
// below ceil((p + 1) in / out), where kernel is at least the longest of them. What lies outside x does not take part.
struct PoolDims {
  using Axes = ConvDims::Axes;
  std::size_t batch = 0, channels = 1;
  Axes in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1}, pad{};
  bool adaptive = false;
  bool count_include_pad = true;  // averages count what lies in the padding, as zeros
  std::int64_t divisor = 0;       // of averages, whatever the window; 0: its positions

  std::size_t x_size() const { return batch * in[0] * in[1] * in[2] * channels; }
  std::size_t y_size() const { return batch * out[0] * out[1] * out[2] * channels; }
  std::size_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
};

// What a position of y reads along an axis when x [N, in, C] is resized to y [N, out, C].
enum class ResizeKind { nearest, linear, linear_corners, reflect, replicate, circular };
struct ResizeDims {
  using Axes = ConvDims::Axes;
  ResizeKind kind = ResizeKind::nearest;
  std::size_t batch = 0, channels = 1;
  Axes in{1, 1, 1}, out{1, 1, 1};
  Axes before{};                  // of paddings: new positions in front
  std::array<double, 3> scale{};  // of nearest and linear: out per in, as the user said; 0: out / in

  std::size_t x_size() const { return batch * in[0] * in[1] * in[2] * channels; }
  std::size_t y_size() const { return batch * out[0] * out[1] * out[2] * channels; }
};

// Elementwise work on up to three inputs of which any axis may be stretched (NumPy's broadcasting). Axes are collapsed:
// none has size 1 unless it is the only one, and the innermost stride of each input is 1 or 0 (stretched).
struct BroadcastDims {
  static constexpr std::size_t kMaxRank = 6, kMaxInputs = 3;
  std::size_t rank = 1, size = 1;  // axes and elements of the output
  std::array<std::size_t, kMaxRank> sizes{1};
  std::array<std::array<std::size_t, kMaxRank>, kMaxInputs> strides{};  // by input, in elements
};

// A reduction of x [outer, size, inner] to y [outer, inner].
struct ReduceDims {
  std::size_t outer = 1, size = 1, inner = 1;
};

// Elements of x [outer, size, inner] picked along `size`, `count` of them for each outer and inner index.
struct GatherDims {
  std::size_t outer = 1, size = 1, inner = 1, count = 1;
};

// Lines of `size` elements that lie `inner` apart: x [outer, size, inner].
struct SoftmaxDims {
  std::size_t outer = 1, size = 1, inner = 1;
  bool log = false;  // the logarithm of the softmax
};

// Rows of `classes` scores, and a label for each row. Labels equal to ignore_index are left out.
struct CrossEntropyDims {
  std::size_t rows = 0, classes = 0;
  std::int64_t ignore_index = -100;
  double label_smoothing = 0;
};

// A weight [outer, features, inner] whose features are scaled alone, centered or not.
struct WeightNormDims {
  std::size_t outer = 1, features = 1, inner = 1;
  bool center = false;
  double epsilon = 1e-12;
};

// Rows of n numbers; each is divided by (k + scale * the squares from `before` places before it to `after`
// behind)^beta.
struct LocalResponseDims {
  std::size_t n = 1, before = 0, after = 0;  // both below n
  double scale = 1e-4, beta = 0.75, k = 1;
};

// A loss of pairs (x, target); delta is Huber's.
enum class PointwiseLossKind { mse, l1, huber, bce_with_logits, kl_div, kl_div_log };
struct PointwiseLossDims {
  PointwiseLossKind kind = PointwiseLossKind::mse;
  double delta = 1;
};

// Elements are dropped with probability p; which ones is a function of seed, stream and position.
struct DropoutDims {
  double p = 0.5;
  std::uint64_t seed = 0, stream = 0;
};

}  // namespace tapestry::kernels
