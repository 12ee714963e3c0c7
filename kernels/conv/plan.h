// How a convolution becomes tasks: plain sizes, functions of the shape alone; not part of the public interface.
#pragma once

#include <array>
#include <cstddef>

#include "kernels/conv/correlation.h"
#include "kernels/runtime/meter.h"

namespace tapestry::kernels {

// Inputs that lie together: a sum takes `count` of them after a jump from where the run before it ended, at first from
// the pixel, and their rows of the panel after another jump.
struct ConvRun {
  std::ptrdiff_t jump, panel_jump;
  std::size_t count;
};

// How a correlation is cut into tasks, and what all of them share. A task computes a box of outputs, for a part of the
// panels. The pixels of a register tile follow each other along `line_axis`. Along it all of them take all taps: where
// one reads outside x, it finds a zero in a copy of x, or, with `rows`, the tile leaves it out. Along the other axes,
// outputs that share the taps that read inside x are computed together, and nothing is multiplied with a zero.
struct ConvJob {
  using Sizes = std::array<std::size_t, 4>;

  ConvJob(const Correlation&, std::size_t panel_width, bool rows);

  Correlation c;
  bool rows;  // register tiles take all taps of a row of the kernel at once, and read x itself
  std::size_t line_axis;
  bool dense;  // runs are too short for loops of their own, and are taken input by input
  std::size_t panel_width, group_panels, panels;  // columns of a panel; panels of a group, of all groups
  bool packed;                                    // whether the weight must be packed, or is a panel as it is
  Sizes box, boxes;                               // outputs of a box along each axis, boxes
  std::size_t parts;                              // of the panels
  bool banded;                             // tasks copy what they read: for zeros around it, or to lie better in caches
  Sizes band;                              // positions that a box reads
  Sizes x_strides, in_strides, y_strides;  // of positions of x, of what register tiles read, of outputs

  const float *x = nullptr, *weights = nullptr, *bias = nullptr;
  float* y = nullptr;
  Meter* meter = nullptr;  // of packing

  std::size_t tasks() const { return boxes[0] * boxes[1] * boxes[2] * boxes[3] * parts; }
  std::size_t runs() const { return c.axes[1].taps * c.axes[2].taps * c.axes[3].taps * (dense ? c.channels : 1); }
  std::size_t band_floats() const { return banded ? band[0] * in_strides[0] : 0; }
  std::size_t panel_floats() const { return c.depth() * panel_width; }

 private:
  void choose_boxes();
  void choose_strides();
};

// The box of a task, and where the band that it reads starts.
struct ConvBox {
  ConvBox(const ConvJob&, std::size_t task);
  ConvJob::Sizes begin, size, band;      // outputs; positions read
  std::array<std::ptrdiff_t, 4> origin;  // the position of x with which the band starts
  std::size_t panel, panel_end;
};

// Copies what a box reads of x to `to`, zeros where there is nothing.
void fill_band(const ConvJob&, const ConvBox&, float* to);

// The parts of a box whose outputs have the same taps, one after the other.
class ConvStretch {
 public:
  ConvStretch(const ConvJob& job, const ConvBox& box) : begin(box.begin), size(box.size), job_(job), box_(box) {}

  void restart(std::size_t axis);
  bool next(std::size_t axis);                                // moves on along an axis; false at the end of the box
  std::size_t write_runs(std::size_t width, ConvRun*) const;  // returns their number
  std::ptrdiff_t in_offset() const;  // from the start of what register tiles read to the first input
  std::size_t y_offset() const;

  ConvJob::Sizes begin, size;  // outputs
  std::array<TapRange, 4> taps{{{0, 1}, {}, {}, {}}};

 private:
  const ConvJob& job_;
  const ConvBox& box_;
};

}  // namespace tapestry::kernels
