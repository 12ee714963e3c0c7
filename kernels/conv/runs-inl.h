// Where the taps of a convolution find their pixels, and copies of x in which they need not look. Included once for
// each target.

#if defined(TAPESTRY_KERNELS_CONV_RUNS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TAPESTRY_KERNELS_CONV_RUNS_INL_H
#undef TAPESTRY_KERNELS_CONV_RUNS_INL_H
#else
#define TAPESTRY_KERNELS_CONV_RUNS_INL_H
#endif

#include <algorithm>
#include <cstddef>
#include <utility>

#include "kernels/conv/weights_plan.h"
#include "kernels/simd/pack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

// The positions of y along an axis that a tap joins to positions inside x: [first, second).
inline std::pair<std::size_t, std::size_t> ValidPositions(const ConvDims& d, std::size_t axis, std::size_t tap) {
  const auto positions_below = [&](std::size_t end) {  // how many p have p stride + tap dilation < end
    const std::size_t start = tap * d.dilation[axis];
    return end <= start ? 0 : std::min(d.out[axis], (end - start + d.stride[axis] - 1) / d.stride[axis]);
  };
  return {positions_below(d.pad[axis]), positions_below(d.pad[axis] + d.in[axis])};
}

// Calls body(row of x, pixel, p, p_end) for the pieces of rows that make up the pixels [begin, end) and whose row of x
// is inside for `tap`: positions [p, p_end) of a row of y, kRun at most, the first of which is `pixel`, counted from
// begin.
template <class Body>
HWY_INLINE void ForPieces(const ConvDims& d, const float* x, ConvDims::Axes tap, std::size_t begin, std::size_t end,
                          const Body& body) {
  const std::size_t row = begin / d.out[2], plane = row / d.out[1], line = d.in[2] * d.in_channels;
  const std::size_t size = end - begin, in1 = d.in[1], out1 = d.out[1], out2 = d.out[2], step = d.stride[1];
  const std::size_t first = tap[1] * d.dilation[1] - d.pad[1];  // wraps where it is negative, as all positions do
  std::size_t n = plane / d.out[0], p0 = plane % d.out[0], p1 = row % out1, p2 = begin % out2;
  for (std::size_t pixel = 0; pixel < size; p1 = 0, ++p0) {
    if (p0 == d.out[0]) p0 = 0, ++n;
    const std::size_t q0 = p0 * d.stride[0] + tap[0] * d.dilation[0] - d.pad[0];
    const bool inside = q0 < d.in[0];
    std::size_t q1 = p1 * step + first, at = ((n * d.in[0] + q0) * in1 + q1) * line;
    while (p1 < out1 && pixel < size) {
      const std::size_t p_end = std::min({out2, p2 + (size - pixel), p2 + WeightsPlan::kRun});
      if (inside && q1 < in1) body(x + at, pixel, p2, p_end);
      pixel += p_end - p2;
      p2 = p_end;
      if (p2 != out2) continue;
      p2 = 0;
      ++p1;
      q1 += step;
      at += step * line;
    }
  }
}

// The runs of the pixels [begin, end) that a tap joins to x; returns their number.
HWY_INLINE std::size_t FindRuns(const ConvDims& d, const float* x, ConvDims::Axes tap, std::size_t begin,
                                std::size_t end, PixelRun* runs) {
  const auto valid = ValidPositions(d, 2, tap[2]);
  const std::size_t step = d.stride[2] * d.in_channels;
  std::size_t count = 0;
  ForPieces(d, x, tap, begin, end, [&](const float* row, std::size_t pixel, std::size_t p, std::size_t p_end) {
    const std::size_t from = std::max(p, valid.first), to = std::min(p_end, valid.second);
    if (from >= to) return;
    const std::size_t q = from * d.stride[2] + tap[2] * d.dilation[2] - d.pad[2];
    const PixelRun run{.x = row + q * d.in_channels, .pixel = pixel + (from - p), .count = to - from};
    PixelRun* before = count == 0 ? nullptr : runs + count - 1;
    if (before != nullptr && before->count + run.count <= WeightsPlan::kRun &&
        before->pixel + before->count == run.pixel && before->x + before->count * step == run.x)
      before->count += run.count;
    else
      runs[count++] = run;
  });
  return count;
}

// Copies rows [begin, end) of x of `d`, with the zeros that `padded` has around them.
inline void PadRows(const ConvDims& d, const ConvDims& padded, const float* x, std::size_t begin, std::size_t end,
                    float* to) {
  const std::size_t width = d.in_channels, line = padded.in[2] * width, before = std::min(line, d.pad[2] * width);
  const std::size_t pixels = std::min(d.in[2], (line - before) / width);
  for (std::size_t row = begin; row < end; ++row, to += line) {
    const std::size_t q0 = row / padded.in[1] % padded.in[0] - d.pad[0], q1 = row % padded.in[1] - d.pad[1];
    const std::size_t n = row / padded.in[1] / padded.in[0];
    if (q0 >= d.in[0] || q1 >= d.in[1] || pixels == 0) {
      std::fill_n(to, line, 0.0f);
      continue;
    }
    const float* from = x + ((n * d.in[0] + q0) * d.in[1] + q1) * d.in[2] * d.in_channels;
    std::fill_n(to, before, 0.0f);
    PackB(from, 0, false, 1, pixels * width, pixels * width, to + before);
    std::fill(to + before + pixels * width, to + line, 0.0f);
  }
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
