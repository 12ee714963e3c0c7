// Maps between positions that are a product of one map for each axis: pooling windows, interpolation, mirrored borders.
// Each position of y [N, out, C] joins some positions of x [N, in, C], along each axis by a list of its own; read the
// other way, each position of x joins some of y. So the gradient of such a map is one too.
#pragma once

#include <algorithm>
#include <array>
#include <span>

#include "kernels/device.h"

namespace tapestry::kernels {

// A position of the other side along one axis; `tap` tells the joins of one window apart.
struct Join {
  std::size_t at, tap;
  double weight;
};

// The lists of one axis. Positions whose lists differ by a shift alone have the same pattern.
class AxisJoins {
 public:
  static constexpr std::uint32_t kPatterns = 8;

  AxisJoins() = default;
  // rule(p, emit) calls emit(join) for the joins of each p < owners, ascending.
  template <class Rule>
  AxisJoins(Arena& arena, std::size_t owners, std::size_t others, const Rule& rule) {
    std::size_t joins = 0;
    for (std::size_t p = 0; p < owners; ++p) rule(p, [&](const Join&) { ++joins; });
    reserve(arena, owners, others, joins);
    joins = 0;
    for (std::size_t p = 0; p < owners; ++p) {
      rule(p, [&](const Join& join) { joins_[joins++] = join; });
      ends_[p] = joins;
    }
    find_patterns();
  }

  // The same joins, listed for each of the others.
  AxisJoins transposed(Arena& arena) const;

  std::size_t owners() const { return owners_; }
  std::size_t others() const { return others_; }
  std::size_t longest() const { return longest_; }
  std::span<const Join> of(std::size_t p) const {
    const std::size_t begin = p == 0 ? 0 : ends_[p - 1];
    return {joins_ + begin, ends_[p] - begin};
  }
  // Where its first join is; 0 where it has none.
  std::size_t first(std::size_t p) const { return firsts_[p]; }
  // The first position with this pattern among those that are remembered, or p itself.
  std::size_t pattern(std::size_t p) const { return patterns_[p]; }

 private:
  void reserve(Arena& arena, std::size_t owners, std::size_t others, std::size_t joins);
  void find_patterns();
  bool alike(std::size_t p, std::size_t q) const;

  Block block_;
  std::size_t owners_ = 0, others_ = 0, longest_ = 0;
  Join* joins_ = nullptr;
  std::size_t *ends_ = nullptr, *patterns_ = nullptr, *firsts_ = nullptr;
};

struct Joins {
  std::size_t batch = 0, channels = 1;
  std::array<std::size_t, 3> taps{1, 1, 1};  // more than the largest tap of each axis
  std::array<AxisJoins, 3> axes;

  std::size_t owners() const { return batch * axes[0].owners() * axes[1].owners() * axes[2].owners(); }
  std::size_t longest() const { return axes[0].longest() * axes[1].longest() * axes[2].longest(); }
  Joins transposed(Arena& arena) const {
    return {batch, channels, taps, {axes[0].transposed(arena), axes[1].transposed(arena), axes[2].transposed(arena)}};
  }
};

// A join over all axes: the distance of its elements from JoinCursor::offset().
struct PixelJoin {
  std::size_t offset;
  std::int32_t tap;
  float weight;
};

// Walks over the positions of the owning side and has the joins of each.
class JoinCursor {
 public:
  JoinCursor(const Joins& joins, Arena& arena, std::size_t position);

  std::size_t offset() const { return offset_; }  // in elements of the other side
  std::span<const PixelJoin> joins() const { return pixel_; }
  void next() {
    if (++at_[2] == joins_.axes[2].owners()) next_row();
    find();
  }

 private:
  void next_row();
  void enter_row();
  void find() {
    const AxisJoins& axis = joins_.axes[2];
    offset_ = (row_ + axis.first(at_[2])) * joins_.channels;
    const std::size_t pattern = axis.pattern(at_[2]), slot = pattern % AxisJoins::kPatterns;
    if (known_[slot] != pattern) {
      known_[slot] = pattern;
      counts_[slot] = fill(room_ + slot * room_each_, axis.of(at_[2]));
    }
    pixel_ = {room_ + slot * room_each_, counts_[slot]};
  }
  std::size_t fill(PixelJoin* to, std::span<const Join> list) const;

  const Joins& joins_;
  std::size_t room_each_;  // for the joins of one pattern
  Block block_;
  PixelJoin* room_;
  std::array<std::size_t, AxisJoins::kPatterns> known_, counts_{};  // by pattern of the last axis
  std::size_t batch_ = 0, row_ = 0, offset_ = 0;
  std::array<std::size_t, 3> at_{};
  std::array<std::size_t, 2> patterns_{};  // of the first axes in this row
  std::span<const PixelJoin> pixel_;
};

// How many elements in front of a read its line is asked for: in the next page, where the hardware does not look ahead.
inline constexpr std::size_t kFetchAhead = 1024;

// Positions of the owning side that are one piece of work.
inline std::size_t join_grain(const Joins& joins) {
  return std::max<std::size_t>(1, kGrain / (std::max<std::size_t>(1, joins.longest()) * joins.channels));
}

// y[n, p, c] = the sum over the joins of p of weight x[n, q, c], for the owners p.
void weigh_joins(const Device&, const Joins&, std::span<const float> x, std::span<float> y);

}  // namespace tapestry::kernels
