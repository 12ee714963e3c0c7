#include "kernels/tiles/grid.h"

#include <algorithm>
#include <numeric>

namespace tapestry::kernels {
namespace {

constexpr std::size_t kBoxProducts = 4 * 1024 * 1024;  // multiply-adds for which boxes are not cut below it

std::ptrdiff_t floor_div(std::ptrdiff_t a, std::size_t b) {
  const auto divisor = static_cast<std::ptrdiff_t>(b);
  return a / divisor - (a % divisor < 0 ? 1 : 0);
}

}  // namespace

// Lines that are not cut share their zeros: what is read behind one is the beginning of the next.
TileGrid::TileGrid(const Correlation& c, const Sizes& box) : c_(c), box_(box) {
  for (std::size_t i = 1; i < 4; ++i) {
    const CorrelationAxis& axis = c.axes[i];
    least_[i] = floor_div(axis.start, axis.stride);
    pitch_[i] = box[i];
    if (axis.taps == 0) continue;
    phases_[i] = std::min(axis.taps, axis.stride / std::gcd(axis.stride, axis.step));
    const std::size_t more = distance_along(i, axis.taps - 1);
    pitch_[i] += more;
    std::size_t shared = box[i] == axis.out ? more : 0;
    for (std::size_t phase = 0; phase < phases_[i] && shared != 0; ++phase) {
      const Inside in = inside_along(i, phase, 0);
      shared = in.begin == in.end ? 0 : std::min({shared, in.begin, pitch_[i] - in.end});
    }
    pitch_[i] -= shared;
  }
  const auto farthest = [&](std::size_t i) { return c.axes[i].taps == 0 ? 0 : distance_along(i, c.axes[i].taps - 1); };
  reach_ = (farthest(1) * pitch_[2] + farthest(2)) * pitch_[3] + farthest(3);
}

std::size_t TileGrid::outputs_end(std::size_t images) const {
  return (((images - 1) * pitch_[1] + box_[1] - 1) * pitch_[2] + box_[2] - 1) * pitch_[3] + box_[3];
}

std::ptrdiff_t TileGrid::at(std::size_t axis, std::size_t tap) const {
  return c_.axes[axis].start + static_cast<std::ptrdiff_t>(tap * c_.axes[axis].step);
}

std::size_t TileGrid::distance_along(std::size_t axis, std::size_t tap) const {
  return static_cast<std::size_t>(floor_div(at(axis, tap), c_.axes[axis].stride) - least_[axis]);
}

TileGrid::Inside TileGrid::inside_along(std::size_t axis, std::size_t phase, std::size_t output) const {
  const CorrelationAxis& a = c_.axes[axis];
  const auto stride = static_cast<std::ptrdiff_t>(a.stride), in = static_cast<std::ptrdiff_t>(a.in);
  const std::ptrdiff_t remainder = a.taps == 0 ? 0 : at(axis, phase) - floor_div(at(axis, phase), a.stride) * stride;
  const std::ptrdiff_t line =
      least_[axis] + static_cast<std::ptrdiff_t>(output);  // the position of the first, in strides
  const std::ptrdiff_t pitch = static_cast<std::ptrdiff_t>(pitch_[axis]);
  const std::ptrdiff_t begin = std::clamp<std::ptrdiff_t>(-line, 0, pitch);
  const std::ptrdiff_t positions = remainder >= in ? 0 : (in - remainder + stride - 1) / stride;
  const std::ptrdiff_t end = std::clamp<std::ptrdiff_t>(positions - line, begin, pitch);
  return {.begin = static_cast<std::size_t>(begin),
          .end = static_cast<std::size_t>(end),
          .first = begin == end ? 0 : static_cast<std::size_t>((line + begin) * stride + remainder),
          .stride = a.stride};
}

std::size_t TileGrid::phase_of(const Sizes& tap) const {
  std::size_t phase = 0;
  for (std::size_t i = 1; i < 4; ++i) phase = phase * phases_[i] + tap[i] % phases_[i];
  return phase;
}

std::size_t TileGrid::distance_of(const Sizes& tap) const {
  std::size_t distance = 0;
  for (std::size_t i = 1; i < 4; ++i) distance = distance * pitch_[i] + distance_along(i, tap[i]);
  return distance;
}

std::array<TileGrid::Inside, 4> TileGrid::inside(std::size_t phase, const Sizes& begin) const {
  std::array<Inside, 4> in{};
  for (std::size_t i = 4; i-- > 1; phase /= phases_[i]) in[i] = inside_along(i, phase % phases_[i], begin[i]);
  return in;
}

bool TileGrid::taps_lie_together() const {
  return c_.groups == 1 && phases_[3] == 1 && (c_.axes[3].taps < 2 || distance_along(3, 1) == 1);
}

TileBoxes::TileBoxes(const Correlation& c, std::size_t bytes, std::size_t most_bytes, std::size_t wanted) {
  const std::size_t products = c.outputs() * c.depth() * c.groups * c.columns;
  for (std::size_t i = 0; i < 4; ++i) box[i] = c.axes[i].out;
  for (;;) {
    const TileGrid grid(c, box);
    const bool large = grid.all_phases() * grid.plane(box[0], 0) * bytes > most_bytes;
    const bool few = count() < wanted && products / count() > kBoxProducts;
    if (!large && !few) return;
    std::size_t axis = 0;
    while (axis < 4 && box[axis] == 1) ++axis;
    if (axis == 4) return;
    boxes[axis] = std::min(c.axes[axis].out, 2 * boxes[axis]);
    box[axis] = (c.axes[axis].out + boxes[axis] - 1) / boxes[axis];
    boxes[axis] = (c.axes[axis].out + box[axis] - 1) / box[axis];
  }
}

TileBoxes::Sizes TileBoxes::begin(std::size_t number) const {
  Sizes begin;
  for (std::size_t i = 4; i-- > 0; number /= boxes[i]) begin[i] = number % boxes[i] * box[i];
  return begin;
}

TileBoxes::Sizes TileBoxes::size(const Correlation& c, const Sizes& begin) const {
  Sizes size;
  for (std::size_t i = 0; i < 4; ++i) size[i] = std::min(box[i], c.axes[i].out - begin[i]);
  return size;
}

double grid_share(const Correlation& c) {
  const TileGrid grid(c, {c.axes[0].out, c.axes[1].out, c.axes[2].out, c.axes[3].out});
  double positions = static_cast<double>(c.axes[0].out);
  for (std::size_t i = 1; i < 4; ++i) positions *= static_cast<double>(grid.pitch(i));
  const bool few_taps = grid.all_phases() * c.channels >= 2 * c.depth();
  return few_taps ? 0 : static_cast<double>(c.outputs()) / positions;
}

std::size_t most_tiles(const TileGrid& grid, const TileGrid::Sizes& box) {
  return grid.outputs_end(box[0]) / kTileRows + 1;
}

std::size_t list_tiles(const Correlation& c, const TileGrid& grid, const TileGrid::Sizes& begin,
                       const TileGrid::Sizes& size, GridTile* tiles) {
  TileGrid::Sizes strides;
  std::size_t first = 0;
  for (std::size_t i = 4, stride = c.groups * c.columns; i-- > 0; stride *= c.axes[i].total) {
    strides[i] = stride * c.axes[i].next;
    first += stride * c.axes[i].first + begin[i] * strides[i];
  }
  std::size_t number = 0;
  for (std::size_t n = 0; n < size[0]; ++n)
    for (std::size_t i = 0; i < size[1]; ++i)
      for (std::size_t j = 0; j < size[2]; ++j) {
        std::size_t at = ((n * grid.pitch(1) + i) * grid.pitch(2) + j) * grid.pitch(3);
        std::size_t to = first + n * strides[0] + i * strides[1] + j * strides[2];
        for (std::size_t k = 0; k < size[3]; ++k, ++at, to += strides[3]) {
          if (number == 0 || at >= tiles[number - 1].at + kTileRows) {
            tiles[number].at = at;
            tiles[number++].to.fill(kNowhere);
          }
          tiles[number - 1].to[at - tiles[number - 1].at] = to;
        }
      }
  return number;
}

}  // namespace tapestry::kernels
