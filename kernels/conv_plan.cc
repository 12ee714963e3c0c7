#include "kernels/conv_plan.h"

#include <algorithm>
#include <numeric>

namespace tapestry::kernels {

Correlation forward_correlation(const ConvDims& d) {
  Correlation c{
      .groups = d.groups, .channels = d.in_channels / d.groups, .columns = d.out_channels / d.groups, .relu = d.relu};
  c.axes[0] = {.in = d.batch, .out = d.batch, .total = d.batch};
  for (std::size_t i = 0; i < 3; ++i)
    c.axes[i + 1] = {.in = d.in[i],
                     .out = d.out[i],
                     .taps = d.kernel[i],
                     .kernel = d.kernel[i],
                     .start = -static_cast<std::ptrdiff_t>(d.pad[i]),
                     .stride = d.stride[i],
                     .step = d.dilation[i],
                     .total = d.out[i]};
  return c;
}

// Position q = phase + i stride of dx takes dy at p = (q + pad - t dilation) / stride for the taps t that leave no
// remainder: every (stride / gcd)-th one, and p falls by dilation / gcd from each to the next. The last of them comes
// first.
CorrelationAxis backward_axis(const ConvDims& d, std::size_t i, std::size_t phase) {
  const std::size_t stride = d.stride[i], dilation = d.dilation[i], every = stride / std::gcd(stride, dilation);
  CorrelationAxis axis{.in = d.out[i],
                       .out = (d.in[i] + stride - 1 - phase) / stride,
                       .taps = 0,
                       .kernel = d.kernel[i],
                       .step = dilation / std::gcd(stride, dilation),
                       .weight_step = -static_cast<std::ptrdiff_t>(every),
                       .first = phase,
                       .next = stride,
                       .total = d.in[i]};
  for (std::size_t t = 0; t < d.kernel[i]; ++t) {
    const auto distance = static_cast<std::ptrdiff_t>(phase + d.pad[i]) - static_cast<std::ptrdiff_t>(t * dilation);
    if (distance % static_cast<std::ptrdiff_t>(stride) != 0) continue;
    ++axis.taps;
    axis.weight_tap = static_cast<std::ptrdiff_t>(t);
    axis.start = distance / static_cast<std::ptrdiff_t>(stride);
  }
  return axis;
}

Correlation backward_correlation(const ConvDims& d, const ConvDims::Axes& phase) {
  Correlation c{.groups = d.groups,
                .channels = d.out_channels / d.groups,
                .columns = d.in_channels / d.groups,
                .transposed = true};
  c.axes[0] = {.in = d.batch, .out = d.batch, .total = d.batch};
  for (std::size_t i = 0; i < 3; ++i) c.axes[i + 1] = backward_axis(d, i, phase[i]);
  return c;
}

namespace {

constexpr std::size_t kBandFloats = 96 * 1024;          // a band stays in L2 beside a panel of weights
constexpr std::size_t kTasks = 16;                      // as many at least
constexpr std::size_t kTaskProducts = 4 * 1024 * 1024;  // unless they become smaller than this

}  // namespace

ConvBoxes::ConvBoxes(const Correlation& c) {
  const std::size_t pixel = c.groups * c.channels, products = c.outputs() * c.depth() * c.groups * c.columns;
  for (std::size_t i = 0; i < 4; ++i) size[i] = c.axes[i].out;
  for (std::size_t axis = 0;;) {
    for (std::size_t i = 0; i < 4; ++i) {
      count[i] = (c.axes[i].out + size[i] - 1) / size[i];
      band[i] = c.axes[i].taps == 0 ? 0 : c.axes[i].extent(size[i]);
    }
    const bool large = band[0] * band[1] * band[2] * band[3] * pixel > kBandFloats ||
                       (tasks() < kTasks && products / tasks() > kTaskProducts);
    while (axis < 4 && size[axis] == 1) ++axis;
    if (!large || axis == 4) return;
    size[axis] = (size[axis] + 1) / 2;
  }
}

ConvBox::ConvBox(const ConvBoxes& boxes, const Correlation& c, std::size_t task) {
  for (std::size_t i = 4; i-- > 0; task /= boxes.count[i]) {
    begin[i] = task % boxes.count[i] * boxes.size[i];
    size[i] = std::min(boxes.size[i], c.axes[i].out - begin[i]);
  }
}

ConvJob::ConvJob(const Correlation& correlation, std::size_t panel_width)
    : c(correlation), boxes(correlation), panel_width(panel_width) {
  const auto& axes = c.axes;
  banded = c.depth() != 0 && std::ranges::any_of(axes, &CorrelationAxis::reads_outside);
  std::size_t x = c.groups * c.channels, in = x, y = c.groups * c.columns;
  for (std::size_t i = 4; i-- > 0;) {
    x_strides[i] = x;
    in_strides[i] = in;
    y_strides[i] = y * axes[i].next;
    x *= axes[i].in;
    in *= banded ? boxes.band[i] : axes[i].in;
    y *= axes[i].total;
  }
  line_axis = 3;
  for (std::size_t i = 3; i-- > 0 && axes[3].out < 4;)
    if (boxes.size[i] > boxes.size[line_axis]) line_axis = i;
  const bool joined = c.groups == 1 && axes[3].step == 1;  // the taps of a row lie together
  run = joined ? axes[3].taps * c.channels : c.channels;
  dense = run < 16;
  if (dense) run = 1;
  runs = run == 0 ? 0 : c.depth() / run;
  panels = (c.columns + panel_width - 1) / panel_width;
  packed = c.transposed || c.groups > 1 || c.columns != panel_width;
}

void ConvJob::write_jumps(std::ptrdiff_t* to) const {
  const std::size_t row = c.axes[3].taps * c.channels;  // inputs of a row of taps
  std::size_t end = 0;
  for (std::size_t k = 0; k < c.depth(); k += run) {
    const std::size_t taps = k / row, in_row = k % row;
    const std::size_t begin = taps / c.axes[2].taps * c.axes[1].step * in_strides[1] +
                              taps % c.axes[2].taps * c.axes[2].step * in_strides[2] +
                              in_row / c.channels * c.axes[3].step * in_strides[3] + in_row % c.channels;
    *to++ = static_cast<std::ptrdiff_t>(begin - end);  // wraps where it goes back
    end = begin + run;
  }
}

void fill_band(const ConvJob& job, const ConvBox& box, float* band) {
  std::array<std::ptrdiff_t, 4> from;  // the position of x that is the first of the band
  std::array<std::size_t, 4> extent;
  for (std::size_t i = 0; i < 4; ++i) {
    const CorrelationAxis& axis = job.c.axes[i];
    from[i] = axis.start + static_cast<std::ptrdiff_t>(box.begin[i] * axis.stride);
    extent[i] = axis.extent(box.size[i]);
  }
  const auto inside = [&](std::size_t i, std::size_t at) {
    return static_cast<std::size_t>(from[i] + static_cast<std::ptrdiff_t>(at));
  };
  const auto in3 = static_cast<std::ptrdiff_t>(job.c.axes[3].in), extent3 = static_cast<std::ptrdiff_t>(extent[3]);
  const auto first = static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(-from[3], 0, extent3));
  const auto last =
      static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(in3 - from[3], static_cast<std::ptrdiff_t>(first), extent3));
  const std::size_t pixel = job.in_strides[3];
  for (std::size_t n = 0; n < extent[0]; ++n)
    for (std::size_t p0 = 0; p0 < extent[1]; ++p0)
      for (std::size_t p1 = 0; p1 < extent[2]; ++p1) {
        float* to = band + n * job.in_strides[0] + p0 * job.in_strides[1] + p1 * job.in_strides[2];
        const std::size_t q0 = inside(1, p0), q1 = inside(2, p1);
        if (q0 >= job.c.axes[1].in || q1 >= job.c.axes[2].in || first == last) {
          std::fill_n(to, extent[3] * pixel, 0.0f);
          continue;
        }
        const float* row = job.x + inside(0, n) * job.x_strides[0] + q0 * job.x_strides[1] + q1 * job.x_strides[2];
        std::fill_n(to, first * pixel, 0.0f);
        std::copy_n(row + inside(3, first) * pixel, (last - first) * pixel, to + first * pixel);
        std::fill_n(to + last * pixel, (extent[3] - last) * pixel, 0.0f);
      }
}

}  // namespace tapestry::kernels
