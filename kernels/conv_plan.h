// How a convolution becomes tasks: plain sizes, functions of the shape alone; not part of the public interface.
#pragma once

#include <array>
#include <cstddef>

#include "kernels/dims.h"

namespace tapestry::kernels {

// An axis of a correlation: output i reads the positions start + i stride + j step, j < taps, of `in` positions; what
// lies outside them is zero. It takes tap weight_tap + j weight_step of the weight's `kernel`, and is stored at
// position first + i next of `total`.
struct CorrelationAxis {
  std::size_t in = 1, out = 1, taps = 1, kernel = 1;
  std::ptrdiff_t start = 0;
  std::size_t stride = 1, step = 1;
  std::ptrdiff_t weight_tap = 0, weight_step = 1;
  std::size_t first = 0, next = 1, total = 1;

  std::size_t extent(std::size_t outputs) const { return (outputs - 1) * stride + (taps - 1) * step + 1; }
  bool reads_outside() const { return start < 0 || static_cast<std::size_t>(start) + extent(out) > in; }
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
};

Correlation forward_correlation(const ConvDims&);
// The outputs first + i stride of each axis, `phase` < stride telling first.
Correlation backward_correlation(const ConvDims&, const ConvDims::Axes& phase);

// What one task computes: a box of the output that covers `size` along each axis.
struct ConvBoxes {
  explicit ConvBoxes(const Correlation&);

  std::array<std::size_t, 4> size, count;  // outputs of a box, boxes
  std::array<std::size_t, 4> band;         // positions that a box reads
  std::size_t tasks() const { return count[0] * count[1] * count[2] * count[3]; }
};

// All that the tasks of a correlation share.
struct ConvJob {
  ConvJob(const Correlation&, std::size_t panel_width);

  Correlation c;
  ConvBoxes boxes;
  bool banded;                                                  // tasks copy what they read, with zeros around
  std::array<std::size_t, 4> x_strides, in_strides, y_strides;  // of positions of x, of what tiles read, of outputs
  std::size_t line_axis;                                        // along which the pixels of a tile lie
  bool dense;                                                   // every input has an offset of its own
  std::size_t run, runs;            // inputs that lie together, and how many such runs a sum has
  std::size_t panel_width, panels;  // columns of a panel; panels of each group
  bool packed;                      // whether the weight must be packed, or is a panel as it is

  const std::ptrdiff_t* jumps = nullptr;  // [runs]: from the pixel, then from the end of a run, to the next run
  const float *x = nullptr, *weights = nullptr, *bias = nullptr;
  float* y = nullptr;

  std::size_t band_floats() const { return banded ? boxes.band[0] * in_strides[0] : 0; }
  std::size_t panel_floats() const { return c.depth() * panel_width; }
  void write_jumps(std::ptrdiff_t* to) const;
};

// The box of task `task`: its first output and its size along each axis.
struct ConvBox {
  ConvBox(const ConvBoxes&, const Correlation&, std::size_t task);
  std::array<std::size_t, 4> begin, size;
};

// Copies what a box reads of x to `band`, zeros where there is nothing.
void fill_band(const ConvJob&, const ConvBox&, float* band);

}  // namespace tapestry::kernels
