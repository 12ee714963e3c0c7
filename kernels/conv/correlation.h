// A convolution in either direction as one form; not part of the public interface.
#pragma once

#include <array>
#include <cstddef>

#include "kernels/reference/conv.h"

namespace tapestry::kernels {

// Taps [begin, end) of an axis.
struct TapRange {
  std::size_t begin = 0, end = 0;
  std::size_t size() const { return end - begin; }
  bool operator==(const TapRange&) const = default;
};

// An axis of a correlation: output p reads the positions start + p stride + tap step, tap < taps, of `in` positions;
// what lies outside them is zero. It takes tap weight_tap + tap weight_step of the weight's `kernel`, and is stored at
// position first + p next of `total`.
struct CorrelationAxis {
  std::size_t in = 1, out = 1, taps = 1, kernel = 1;
  std::ptrdiff_t start = 0;
  std::size_t stride = 1, step = 1;
  std::ptrdiff_t weight_tap = 0, weight_step = 1;
  std::size_t first = 0, next = 1, total = 1;

  // The input of tap 0 of an output.
  std::ptrdiff_t position(std::size_t output) const { return start + static_cast<std::ptrdiff_t>(output * stride); }
  // Positions from the first to the last that `outputs` neighbours read.
  std::size_t extent(std::size_t outputs) const {
    return taps == 0 ? 0 : (outputs - 1) * stride + (taps - 1) * step + 1;
  }
  bool reads_outside() const { return start < 0 || static_cast<std::size_t>(start) + extent(out) > in; }
  TapRange taps_inside(std::size_t output) const;          // those that read inside
  std::size_t end_of_same_taps(std::size_t output) const;  // the outputs from `output` to this one agree in them
  std::size_t pairs_inside() const;                        // of an output and a tap
};

// Either direction of a convolution over data: group by group, `columns` outputs from `channels` inputs a pixel. The
// first axis is the batch. Forward is one correlation; backward to the data is one for each phase of the strides.
struct Correlation {
  std::array<CorrelationAxis, 4> axes{};
  std::size_t groups = 1, channels = 1, columns = 1;
  bool transposed = false;  // the weight is [taps, columns, groups channels], not [taps, channels, groups columns]
  bool relu = false;

  std::size_t depth() const { return axes[1].taps * axes[2].taps * axes[3].taps * channels; }
  std::size_t outputs() const { return axes[0].out * axes[1].out * axes[2].out * axes[3].out; }
  std::size_t products() const { return outputs() * depth() * groups * columns; }  // multiply-adds, with those of zeros
};

// Whether the channels stay apart, each with a few outputs of its own: kernels/conv/depthwise.h. With more than four,
// vectors over the outputs of a group serve better.
inline bool is_depthwise(const ConvDims& d) {
  return d.groups > 1 && d.in_channels == d.groups && d.out_channels / d.groups <= 4;
}

// The same convolution with all pixels in one row, where each is computed from itself alone.
ConvDims flat(ConvDims);

Correlation forward_correlation(const ConvDims&);
// The outputs phase + i stride of each axis, phase < stride.
Correlation backward_correlation(const ConvDims&, const ConvDims::Axes& phase);

}  // namespace tapestry::kernels
