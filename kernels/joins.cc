#include "kernels/joins.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/joins.cc"
#include "kernels/simd/highway.h"
//
#include "kernels/simd/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tapestry::kernels::HWY_NAMESPACE {

using Floats = hn::ScalableTag<float>;

// Sums of so many joins are added up on their own, so that errors do not grow along long windows.
constexpr std::size_t kRun = 32;

template <std::size_t kVectors, class Lanes>
HWY_INLINE void WeighPixel(std::span<const PixelJoin> joins, const float* x, float* y, Lanes lanes) {
  const Floats d;
  const std::size_t step = hn::Lanes(d);
  hn::Vec<Floats> total[kVectors], sum[kVectors];
  for (auto& t : total) t = hn::Zero(d);
  for (std::size_t begin = 0; begin < joins.size(); begin += kRun) {
    const auto run = joins.subspan(begin, std::min(kRun, joins.size() - begin));
    for (std::size_t v = 0; v < kVectors; ++v)
      sum[v] = hn::Mul(load(d, x + run[0].offset + v * step, lanes), hn::Set(d, run[0].weight));
    for (const PixelJoin& join : run.subspan(1))
      for (std::size_t v = 0; v < kVectors; ++v) {
        const float* const from = x + join.offset + v * step;
        if constexpr (kVectors > 1) __builtin_prefetch(from + kFetchAhead);
        sum[v] = hn::MulAdd(load(d, from, lanes), hn::Set(d, join.weight), sum[v]);
      }
    for (std::size_t v = 0; v < kVectors; ++v) total[v] = begin == 0 ? sum[v] : hn::Add(total[v], sum[v]);
  }
  for (std::size_t v = 0; v < kVectors; ++v) store(total[v], d, y + v * step, lanes);
}

void WeighPixels(const Joins& joins, Arena& arena, std::size_t begin, std::size_t end, const float* x, float* y) {
  JoinCursor cursor(joins, arena, begin);
  for (std::size_t p = begin; p < end; ++p) {
    if (p > begin) cursor.next();
    const float* from = x + cursor.offset();
    float* to = y + p * joins.channels;
    for_blocks(Floats(), joins.channels, [&](std::size_t c, auto vectors, auto lanes) HWY_ATTR {
      WeighPixel<vectors()>(cursor.joins(), from + c, to + c, lanes);
    });
  }
}

}  // namespace tapestry::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tapestry::kernels {

HWY_EXPORT(WeighPixels);

void AxisJoins::reserve(Arena& arena, std::size_t owners, std::size_t others, std::size_t joins) {
  block_ = arena.allocate(joins * sizeof(Join) + 3 * owners * sizeof(std::size_t));
  joins_ = reinterpret_cast<Join*>(block_.data());
  ends_ = reinterpret_cast<std::size_t*>(joins_ + joins);
  patterns_ = ends_ + owners;
  firsts_ = patterns_ + owners;
  owners_ = owners;
  others_ = others;
}

bool AxisJoins::alike(std::size_t p, std::size_t q) const {
  const std::span<const Join> a = of(p), b = of(q);
  return std::ranges::equal(a, b, [&](const Join& u, const Join& v) {
    return u.at - a.front().at == v.at - b.front().at && u.tap == v.tap && u.weight == v.weight;
  });
}

void AxisJoins::find_patterns() {
  std::array<std::size_t, kPatterns> recent{};  // the patterns that were met last
  std::size_t met = 0;
  for (std::size_t p = 0; p < owners_; ++p) {
    longest_ = std::max(longest_, of(p).size());
    firsts_[p] = of(p).empty() ? 0 : of(p).front().at;
    const auto end = recent.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(met, kPatterns));
    const auto known = std::find_if(recent.begin(), end, [&](std::size_t q) { return alike(p, q); });
    patterns_[p] = known == end ? p : *known;
    if (known == end) recent[met++ % kPatterns] = p;
  }
}

AxisJoins AxisJoins::transposed(Arena& arena) const {
  AxisJoins result;
  const std::size_t joins = owners_ == 0 ? 0 : ends_[owners_ - 1];
  result.reserve(arena, others_, owners_, joins);
  std::fill_n(result.ends_, others_, 0);
  for (std::size_t i = 0; i < joins; ++i) ++result.ends_[joins_[i].at];
  std::size_t begin = 0;
  for (std::size_t q = 0; q < others_; ++q) {
    begin += result.ends_[q];
    result.ends_[q] = begin - result.ends_[q];
  }
  for (std::size_t p = 0; p < owners_; ++p)
    for (const Join& join : of(p)) result.joins_[result.ends_[join.at]++] = {p, join.tap, join.weight};
  result.find_patterns();
  return result;
}

JoinCursor::JoinCursor(const Joins& joins, Arena& arena, std::size_t position)
    : joins_(joins),
      room_each_(joins.longest()),
      block_(arena.allocate(AxisJoins::kPatterns * room_each_ * sizeof(PixelJoin))),
      room_(reinterpret_cast<PixelJoin*>(block_.data())) {
  for (std::size_t axis = 3; axis-- > 0; position /= joins.axes[axis].owners())
    at_[axis] = position % joins.axes[axis].owners();
  batch_ = position;
  known_.fill(~std::size_t{});
  enter_row();
  find();
}

void JoinCursor::next_row() {
  at_[2] = 0;
  if (++at_[1] == joins_.axes[1].owners()) {
    at_[1] = 0;
    if (++at_[0] == joins_.axes[0].owners()) {
      at_[0] = 0;
      ++batch_;
    }
  }
  enter_row();
}

void JoinCursor::enter_row() {
  row_ = batch_;
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const AxisJoins& lists = joins_.axes[axis];
    row_ = row_ * lists.others() + lists.first(at_[axis]);
    const std::size_t pattern = lists.pattern(at_[axis]);
    if (pattern != std::exchange(patterns_[axis], pattern)) known_.fill(~std::size_t{});
  }
  row_ *= joins_.axes[2].others();
}

std::size_t JoinCursor::fill(PixelJoin* to, std::span<const Join> list) const {
  const std::span<const Join> list0 = joins_.axes[0].of(at_[0]), list1 = joins_.axes[1].of(at_[1]);
  std::size_t count = 0;
  for (const Join& a : list0)
    for (const Join& b : list1) {
      const std::size_t row = (a.at - list0.front().at) * joins_.axes[1].others() + b.at - list1.front().at;
      const std::size_t tap = (a.tap * joins_.taps[1] + b.tap) * joins_.taps[2];
      for (const Join& c : list)
        to[count++] = {(row * joins_.axes[2].others() + c.at - list.front().at) * joins_.channels,
                       static_cast<std::int32_t>(tap + c.tap), static_cast<float>(a.weight * b.weight * c.weight)};
    }
  return count;
}

void weigh_joins(const Device& device, const Joins& joins, std::span<const float> x, std::span<float> y) {
  if (y.empty()) return;
  const auto weigh = TAPESTRY_CALL(device.target, WeighPixels);
  parallel_for(device.pool, joins.owners(), join_grain(joins),
               [&](std::size_t begin, std::size_t end) { weigh(joins, device.arena, begin, end, x.data(), y.data()); });
}

}  // namespace tapestry::kernels
#endif
