// How the gradient of a convolution's weight is cut into tasks and blocks, as a function of the shape alone; not part
// of the public interface.
#pragma once

#include <algorithm>
#include <cstddef>

#include "kernels/reference/conv.h"
#include "kernels/runtime/meter.h"

namespace tapestry::kernels {

// Neighbouring pixels of y, and where a tap puts the first of them in x.
struct PixelRun {
  const float* x;
  std::size_t pixel, count;  // the first pixel, counted from that of the block
};

// The gradient is a matrix of taps x channels by outputs. A task owns some of its panels of columns for some taps and a
// chunk of the pixels, which it takes block by block: the rows of dy of a block and a panel stay in L1 while all
// register tiles run over them.
struct WeightsPlan {
  static constexpr std::size_t kBlock = 256;         // pixels, at most: dy of a panel of 32 columns has 32 KiB
  static constexpr std::size_t kRun = 32;            // pixels, at most; fetches come between runs
  static constexpr std::size_t kSlice = 128 * 1024;  // of the gradient, which a task visits for each block: half a MiB
  static constexpr std::size_t kTasks = 16;          // wanted, to be shared out evenly
  static constexpr std::size_t kChunk = 2048;        // pixels of a chunk, at least: each has sums to be merged
  static constexpr std::size_t kShortChunk = 1024;   // the same where tasks would share out taps else
  static constexpr std::size_t kGatherBelow = 8;     // channels of a group: too few rows for a register tile

  // A register tile spans up to row_taps taps.
  WeightsPlan(const ConvDims& d, std::size_t lanes, std::size_t panel_width, std::size_t row_taps)
      : gather(d.in_channels / d.groups < kGatherBelow),
        groups(d.groups),
        outputs(d.out_channels / groups),
        width(panel_width),
        rows(d.taps() * (d.in_channels / d.groups)),
        pixels(d.batch * d.out[0] * d.out[1] * d.out[2]),
        panels_of_group((outputs + width - 1) / width),
        panels(groups * panels_of_group),
        by_rows(!gather && outputs <= lanes && (d.kernel[2] == 3 || d.kernel[2] == 5) && d.kernel[2] <= row_taps &&
                d.stride[2] == 1 && d.dilation[2] == 1),
        taps(gather ? 1 : d.kernel[0] * d.kernel[1] * (by_rows ? 1 : d.kernel[2])) {
    block = d.out[2] <= kBlock ? kBlock / d.out[2] * d.out[2] : kBlock;
    panels_of_task = std::clamp<std::size_t>(kSlice / (rows * width), 1, panels);
    taps_of_task = std::clamp<std::size_t>(kSlice / (rows / taps * width), 1, taps);
    std::size_t most = std::max<std::size_t>(1, pixels / kChunk);
    while (owners() * most < kTasks && panels_of_task > 1) panels_of_task = (panels_of_task + 1) / 2;
    if (owners() * most < kTasks) most = std::max<std::size_t>(1, pixels / kShortChunk);
    while (owners() * most < kTasks && taps_of_task > 1) taps_of_task = (taps_of_task + 1) / 2;
    tap_parts = (taps + taps_of_task - 1) / taps_of_task;
    panel_parts = (panels + panels_of_task - 1) / panels_of_task;
    chunks = std::min(
        {most, (pixels + block - 1) / block, (kTasks + tap_parts * panel_parts - 1) / (tap_parts * panel_parts)});
  }
  std::size_t owners() const {
    return (taps + taps_of_task - 1) / taps_of_task * ((panels + panels_of_task - 1) / panels_of_task);
  }
  std::size_t tasks() const { return tap_parts * panel_parts * chunks; }

  bool gather;  // few channels: the rows of a register tile run over taps and channels, through a table of offsets
  std::size_t groups, outputs, width;  // outputs of a group, columns of a panel
  std::size_t rows, pixels, panels_of_group, panels;
  bool by_rows;       // narrow panels: register tiles span the taps of a row of the kernel
  std::size_t taps;   // or rows of them, or all at once: what tasks share out
  std::size_t block;  // pixels, of whole lines where they are not longer
  std::size_t panels_of_task, taps_of_task, tap_parts, panel_parts, chunks;
};

// A task: panels [panel, panel_end) of taps [tap, tap_end), over pixels [pixel, pixel_end).
struct WeightsTask {
  std::size_t panel, panel_end, tap, tap_end, pixel, pixel_end;
  double* dbias;  // of all columns, to which it adds dy of its panels; nullptr: another task does
};

// What all tasks share.
struct WeightsInputs {
  const ConvDims& d;
  const WeightsPlan& plan;
  const float* x;
  const float* dy;
  const std::ptrdiff_t* offsets;  // of all rows, where the plan gathers
  Meter* meter;                   // of packing
};

}  // namespace tapestry::kernels
