#include "kernels/conv/correlation.h"

#include <algorithm>
#include <numeric>

namespace tapestry::kernels {

namespace {

// How many of 0, stride, 2 stride, ... lie below `end`, of `most`.
std::size_t count_below(std::ptrdiff_t end, std::size_t stride, std::size_t most) {
  return end <= 0 ? 0 : std::min(most, (static_cast<std::size_t>(end) + stride - 1) / stride);
}

}  // namespace

TapRange CorrelationAxis::taps_inside(std::size_t output) const {
  const std::ptrdiff_t at = position(output);
  return {count_below(-at, step, taps), count_below(static_cast<std::ptrdiff_t>(in) - at, step, taps)};
}

// The range moves down when the tap before it comes in, or its last tap goes out.
std::size_t CorrelationAxis::end_of_same_taps(std::size_t output) const {
  const TapRange range = taps_inside(output);
  const auto reach = [&](std::size_t taps_before) {
    return start + static_cast<std::ptrdiff_t>(taps_before * step) - static_cast<std::ptrdiff_t>(step);
  };
  std::size_t end = out;
  if (range.begin > 0) end = std::min(end, count_below(-reach(range.begin), stride, out));
  if (range.end > 0) end = std::min(end, count_below(static_cast<std::ptrdiff_t>(in) - reach(range.end), stride, out));
  return end;
}

std::size_t CorrelationAxis::pairs_inside() const {
  std::size_t pairs = 0;
  for (std::size_t tap = 0; tap < taps; ++tap) {
    const std::ptrdiff_t at = start + static_cast<std::ptrdiff_t>(tap * step);
    pairs += count_below(static_cast<std::ptrdiff_t>(in) - at, stride, out) - count_below(-at, stride, out);
  }
  return pairs;
}

ConvDims flat(ConvDims d) {
  const bool pointwise =
      d.taps() == 1 && d.stride == ConvDims::Axes{1, 1, 1} && d.in == d.out && d.pad == ConvDims::Axes{};
  if (!pointwise) return d;
  d.in = d.out = {1, 1, d.batch * d.in[0] * d.in[1] * d.in[2]};
  d.batch = 1;
  return d;
}

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

namespace {

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

}  // namespace

Correlation backward_correlation(const ConvDims& d, const ConvDims::Axes& phase) {
  Correlation c{.groups = d.groups,
                .channels = d.out_channels / d.groups,
                .columns = d.in_channels / d.groups,
                .transposed = true};
  c.axes[0] = {.in = d.batch, .out = d.batch, .total = d.batch};
  for (std::size_t i = 0; i < 3; ++i) c.axes[i + 1] = backward_axis(d, i, phase[i]);
  return c;
}

}  // namespace tapestry::kernels
