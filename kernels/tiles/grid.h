// How convolutions lie for tiles: plain sizes, functions of the shape alone; not part of the public interface.
#pragma once

#include <array>
#include <cstddef>

#include "kernels/conv/correlation.h"
#include "kernels/tiles/tiles.h"

namespace tapestry::kernels {

// A box of outputs reads a grid of pixels with its zeros, [phases, images, pitch 1, pitch 2, pitch 3]: at a stride
// there is a grid for each remainder of positions, so that in its own grid a tap is a distance that is the same for all
// outputs, and neighbours of outputs are neighbours. Outputs are the first of each row, of the rows, and so on; what is
// computed for the others is dropped.
class TileGrid {
 public:
  using Sizes = std::array<std::size_t, 4>;

  TileGrid(const Correlation&, const Sizes& box);

  std::size_t all_phases() const { return phases_[1] * phases_[2] * phases_[3]; }
  std::size_t pitch(std::size_t axis) const { return pitch_[axis]; }
  std::size_t outputs_end(std::size_t images) const;  // behind the last position of an output
  std::size_t reach() const { return reach_; }        // from an output to the last tap
  // The grid of a phase, with what is read behind it: `more` positions, all zeros.
  std::size_t plane(std::size_t images, std::size_t more) const { return outputs_end(images) + reach_ + more; }

  // The phase that a tap (of each axis) reads, and how far from the output in it.
  std::size_t phase_of(const Sizes& tap) const;
  std::size_t distance_of(const Sizes& tap) const;

  // Which positions of a line along an axis lie inside x, and where the first of them is.
  struct Inside {
    std::size_t begin = 0, end = 1, first = 0, stride = 1;
    bool has(std::size_t i) const { return begin <= i && i < end; }
    std::size_t position(std::size_t i) const { return first + (i - begin) * stride; }
  };
  // Along each axis of a phase, for outputs from `begin` on.
  std::array<Inside, 4> inside(std::size_t phase, const Sizes& begin) const;
  // Whether the taps of a row of the kernel are neighbours.
  bool taps_lie_together() const;

 private:
  std::ptrdiff_t at(std::size_t axis, std::size_t tap) const;
  std::size_t distance_along(std::size_t axis, std::size_t tap) const;
  Inside inside_along(std::size_t axis, std::size_t phase, std::size_t output) const;

  Correlation c_;
  Sizes box_, phases_{1, 1, 1, 1}, pitch_{1, 1, 1, 1};
  std::array<std::ptrdiff_t, 4> least_{};  // the distance of the first tap
  std::size_t reach_ = 0;
};

// Outputs in boxes, each with a grid of its own: cut until no grid takes more than most_bytes, of which a position has
// `bytes`, and there are as many boxes as wanted, unless they become small.
struct TileBoxes {
  using Sizes = TileGrid::Sizes;
  TileBoxes(const Correlation&, std::size_t bytes, std::size_t most_bytes, std::size_t wanted);
  std::size_t count() const { return boxes[0] * boxes[1] * boxes[2] * boxes[3]; }
  Sizes begin(std::size_t number) const;
  Sizes size(const Correlation&, const Sizes& begin) const;

  Sizes box{1, 1, 1, 1}, boxes{1, 1, 1, 1};
};

// The share of the positions of all grids that are outputs; 0 where a phase has few taps of its own.
double grid_share(const Correlation&);

// A tile whose rows are 16 neighbours of the grid, and where each is stored; kNowhere if it is no output.
struct GridTile {
  std::size_t at;
  std::array<std::size_t, kTileRows> to;
};
// The tiles of a box, as few as can be; returns their number, which is at most most_tiles.
std::size_t most_tiles(const TileGrid&, const TileGrid::Sizes& box);
std::size_t list_tiles(const Correlation&, const TileGrid&, const TileGrid::Sizes& begin, const TileGrid::Sizes& size,
                       GridTile* tiles);

}  // namespace tapestry::kernels
