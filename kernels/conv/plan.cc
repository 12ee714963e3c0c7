#include "kernels/conv/plan.h"

#include <algorithm>

namespace tapestry::kernels {

namespace {

constexpr std::size_t kBandFloats = 96 * 1024;          // of a band: 384 KiB stay in L2 beside a panel of weights
constexpr std::size_t kTasks = 16;                      // wanted, to be shared out evenly
constexpr std::size_t kTaskProducts = 4 * 1024 * 1024;  // for which tasks are not cut below it: 45 us at 32 a cycle
constexpr std::size_t kShortRun = 16;                   // inputs, from which on a run pays for a loop of its own
constexpr std::size_t kImages = 8;                      // from which on a line may run over the batch

// Pixels of a register tile lie along the rows, or along the longest axis where rows have fewer than four, or along the
// batch where more than 5 % of the products along rows would be with zeros.
std::size_t choose_line_axis(const Correlation& c) {
  const CorrelationAxis& row = c.axes[3];
  if (c.axes[0].out >= kImages && row.pairs_inside() * 100 < row.out * row.taps * 95) return 0;
  std::size_t axis = 3;
  for (std::size_t i = 3; i-- > 0 && row.out < 4;)
    if (c.axes[i].out > c.axes[axis].out) axis = i;
  return axis;
}

}  // namespace

ConvJob::ConvJob(const Correlation& correlation, std::size_t width, bool in_rows)
    : c(correlation), rows(in_rows), line_axis(rows ? 3 : choose_line_axis(c)), panel_width(width) {
  const std::size_t run = c.groups == 1 && c.axes[3].step == 1 ? c.axes[3].taps * c.channels : c.channels;
  dense = !rows && run < kShortRun;
  group_panels = (c.columns + width - 1) / width;
  panels = c.groups * group_panels;
  packed = c.transposed || c.groups > 1 || c.columns != width;
  choose_boxes();
  choose_strides();
}

// Boxes are halved along the batch as long as enough images are left, then along the other axes, until the band of each
// fits and there are enough tasks.
void ConvJob::choose_boxes() {
  const std::size_t pixel = c.groups * c.channels, products = c.outputs() * c.depth() * c.groups * c.columns;
  parts = 1;
  for (std::size_t i = 0; i < 4; ++i) box[i] = c.axes[i].out;
  for (;;) {
    for (std::size_t i = 0; i < 4; ++i) {
      boxes[i] = (c.axes[i].out + box[i] - 1) / box[i];
      band[i] = c.axes[i].extent(box[i]);
      if (i != line_axis) band[i] = std::min(band[i], c.axes[i].in);
    }
    const bool large = band[0] * band[1] * band[2] * band[3] * pixel > kBandFloats;
    const bool few = tasks() < kTasks && products / tasks() > kTaskProducts;
    std::size_t axis = box[0] > (line_axis == 0 ? kImages : 1) ? 0 : 1;
    if (!large && !few) return;
    if (!large && axis == 1 && parts * 2 <= panels) {
      parts *= 2;
      continue;
    }
    while (axis < 4 && box[axis] == 1) ++axis;
    if (axis == 4) return;
    box[axis] = (box[axis] + 1) / 2;
  }
}

void ConvJob::choose_strides() {
  std::size_t x = c.groups * c.channels, y = c.groups * c.columns;
  for (std::size_t i = 4; i-- > 0; x *= c.axes[i].in, y *= c.axes[i].total) {
    x_strides[i] = x;
    y_strides[i] = y * c.axes[i].next;
  }
  in_strides = x_strides;
  // Images that lie a multiple of many cache lines apart would share few sets of the caches.
  banded = !rows && c.depth() != 0 && (line_axis == 0 ? x_strides[0] % 32 == 0 : c.axes[line_axis].reads_outside());
  if (!banded) return;
  for (std::size_t i = 3; i-- > 0;) in_strides[i] = in_strides[i + 1] * band[i + 1];
  if (line_axis == 0) in_strides[0] = (in_strides[0] + 31) / 32 * 32 + 16;
}

ConvBox::ConvBox(const ConvJob& job, std::size_t task) {
  const std::size_t part = task % job.parts;
  panel = job.panels * part / job.parts;
  panel_end = job.panels * (part + 1) / job.parts;
  task /= job.parts;
  for (std::size_t i = 4; i-- > 0; task /= job.boxes[i]) {
    const CorrelationAxis& axis = job.c.axes[i];
    begin[i] = task % job.boxes[i] * job.box[i];
    size[i] = std::min(job.box[i], axis.out - begin[i]);
    const std::ptrdiff_t first = axis.position(begin[i]);
    const std::ptrdiff_t last = first + static_cast<std::ptrdiff_t>(axis.extent(size[i]));
    const bool halo = i == job.line_axis;
    origin[i] = halo ? first : std::max<std::ptrdiff_t>(first, 0);
    const std::ptrdiff_t end = halo ? last : std::min(last, static_cast<std::ptrdiff_t>(axis.in));
    band[i] = static_cast<std::size_t>(std::max(end - origin[i], std::ptrdiff_t{0}));
    if (!job.banded) origin[i] = 0;
  }
}

void fill_band(const ConvJob& job, const ConvBox& box, float* to) {
  const auto in = [&](std::size_t axis) { return job.c.axes[axis].in; };
  const auto at = [&](std::size_t axis, std::size_t i) {  // wraps, and is not below in(axis), where it is outside
    return static_cast<std::size_t>(box.origin[axis]) + i;
  };
  const std::size_t pixel = job.in_strides[3], row = box.band[3];
  const std::size_t before = std::min(row, box.origin[3] < 0 ? 0 - at(3, 0) : 0);
  const std::size_t some = at(3, before) >= in(3) ? 0 : std::min(row - before, in(3) - at(3, before));
  for (std::size_t n = 0; n < box.band[0]; ++n)
    for (std::size_t i = 0; i < box.band[1]; ++i)
      for (std::size_t j = 0; j < box.band[2]; ++j) {
        float* line = to + n * job.in_strides[0] + i * job.in_strides[1] + j * job.in_strides[2];
        if (at(1, i) >= in(1) || at(2, j) >= in(2) || some == 0) {
          std::fill_n(line, row * pixel, 0.0f);
          continue;
        }
        const float* from = job.x + at(0, n) * job.x_strides[0] + at(1, i) * job.x_strides[1] +
                            at(2, j) * job.x_strides[2] + at(3, before) * pixel;
        std::fill_n(line, before * pixel, 0.0f);
        std::copy_n(from, some * pixel, line + before * pixel);
        std::fill_n(line + (before + some) * pixel, (row - before - some) * pixel, 0.0f);
      }
}

void ConvStretch::restart(std::size_t axis) {
  begin[axis] = box_.begin[axis];
  size[axis] = 0;
}

bool ConvStretch::next(std::size_t axis) {
  begin[axis] += size[axis];
  const std::size_t end = box_.begin[axis] + box_.size[axis];
  if (begin[axis] == end) return false;
  const CorrelationAxis& a = job_.c.axes[axis];
  if (axis == job_.line_axis) {
    size[axis] = end - begin[axis];
    taps[axis] = {0, a.taps};
    return true;
  }
  size[axis] = std::min(end, a.end_of_same_taps(begin[axis])) - begin[axis];
  taps[axis] = a.taps_inside(begin[axis]);
  return true;
}

std::ptrdiff_t ConvStretch::in_offset() const {
  std::ptrdiff_t offset = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const CorrelationAxis& axis = job_.c.axes[i];
    const std::ptrdiff_t at = axis.position(begin[i]) + static_cast<std::ptrdiff_t>(taps[i].begin * axis.step);
    if (taps[i].size() != 0) offset += (at - box_.origin[i]) * static_cast<std::ptrdiff_t>(job_.in_strides[i]);
  }
  return offset;
}

std::size_t ConvStretch::y_offset() const {
  std::size_t offset = 0;
  for (std::size_t i = 0; i < 4; ++i)
    offset += begin[i] * job_.y_strides[i] + job_.c.axes[i].first * (job_.y_strides[i] / job_.c.axes[i].next);
  return offset;
}

std::size_t ConvStretch::write_runs(std::size_t width, ConvRun* runs) const {
  const Correlation& c = job_.c;
  const bool joined = c.groups == 1 && c.axes[3].step == 1 && !job_.dense;  // the taps of a row lie together
  const std::size_t step = joined || job_.rows ? taps[3].size() : 1;
  const std::size_t inputs = job_.rows ? c.channels : step * c.channels, count = job_.dense ? 1 : inputs;
  std::size_t number = 0, end = 0, panel_end = 0;
  for (std::size_t i = 0; i < taps[1].size(); ++i)
    for (std::size_t j = 0; j < taps[2].size(); ++j)
      for (std::size_t k = 0; k < taps[3].size(); k += step) {
        const std::size_t tap =
            ((taps[1].begin + i) * c.axes[2].taps + taps[2].begin + j) * c.axes[3].taps + taps[3].begin + k;
        std::size_t from = i * c.axes[1].step * job_.in_strides[1] + j * c.axes[2].step * job_.in_strides[2] +
                           k * c.axes[3].step * job_.in_strides[3];
        std::size_t panel = tap * c.channels * width;
        for (std::size_t first = 0; first < inputs; first += count) {
          runs[number++] = {.jump = static_cast<std::ptrdiff_t>(from - end),
                            .panel_jump = static_cast<std::ptrdiff_t>(panel - panel_end),
                            .count = count};  // may wrap
          end = from += count;
          panel_end = panel += count * width;
        }
      }
  return number;
}

}  // namespace tapestry::kernels
