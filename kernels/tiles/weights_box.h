// What tiles read of x and dy for the gradient of a convolution's weights; not part of the public interface.
#pragma once

#include <cstddef>

#include "kernels/device.h"
#include "kernels/tiles/grid.h"

namespace tapestry::kernels::tiles {

// What all tasks of a gradient share. A small one is summed in chunks of boxes, a task each; one whose chunks would
// take too much memory, in one sum, for which all threads work on one box after the other.
struct WeightsJob {
  static constexpr std::size_t kTasks = 16;  // wanted

  WeightsJob(const ConvDims&, std::size_t number_of_terms, const float* x, const float* dy);

  std::size_t panels() const { return d.groups * group_panels; }
  std::size_t panel_size() const { return steps * terms * tiles * kTileSize; }
  std::size_t blocks() const { return (c.channels + kBlockRows - 1) / kBlockRows; }  // of the channels of a group
  std::size_t inputs() const { return grid.all_phases() * x_steps * kTileDepth; }
  std::size_t outputs() const { return steps * kTileDepth; }

  ConvDims d;
  Correlation c;
  const float *x, *dy;
  std::size_t terms;
  bool shared;  // one sum, one box at a time
  TileBoxes boxes;
  TileGrid grid;
  std::size_t chunks, steps, x_steps, tiles, group_panels;
  std::size_t row, plane = 0, phase = 0;  // elements of packed x, from channel to channel, term to term, phase to phase
};

// A box of outputs. x lies in rows of channels, [phases][terms][channels][positions]; dy in pairs of positions,
// [panels][steps][terms][tiles], with zeros where there is no output.
class WeightsBox {
 public:
  WeightsBox(const Device&, const WeightsJob&);
  // From now on it is the box of that number: lists where each position finds its x and its dy.
  void list(const WeightsJob&, std::size_t number);
  // Packs part i of so many; false where something is not finite.
  bool pack(const Device&, const WeightsJob&, std::size_t i, std::size_t parts) const;

  const Bf16* x() const { return reinterpret_cast<const Bf16*>(x_.data()); }
  const Bf16* dy() const { return reinterpret_cast<const Bf16*>(dy_.data()); }

 private:
  void list_inputs(const WeightsJob&, const TileGrid::Sizes& begin, std::size_t images);
  void list_outputs(const WeightsJob&, const TileGrid::Sizes& begin, const TileGrid::Sizes& size);
  bool pack_x(Target, const WeightsJob&, std::size_t step) const;
  bool pack_dy(Target, const WeightsJob&, std::size_t step) const;

  Block zeros_, rows_, x_, dy_;
  const float **inputs_, **outputs_;  // a row of zeros where a position lies outside
};

}  // namespace tapestry::kernels::tiles
