#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

namespace tapestry::kernels {

// A convolution (cross-correlation) of x [N, in, C] with weight [kernel, C/groups, O] to y [N, out, O]. There are three
// spatial axes; those of 1-D and 2-D come last, and axes that are missing have size 1. Position p of y reads the
// positions p stride - pad + tap dilation of x; what lies outside x is zero.
struct ConvDims {
  using Axes = std::array<std::size_t, 3>;
  std::size_t batch = 0, in_channels = 1, out_channels = 1, groups = 1;
  Axes in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1};
  Axes pad{};         // before the first position; what is needed behind the last one follows from `out`
  bool relu = false;  // forward alone: y = max(y, 0)

  std::size_t x_size() const { return batch * in[0] * in[1] * in[2] * in_channels; }
  std::size_t y_size() const { return batch * out[0] * out[1] * out[2] * out_channels; }
  std::size_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  std::size_t weight_size() const { return taps() * (in_channels / groups) * out_channels; }
};

namespace reference {

// Calls body(y position, x position, tap) for all pairs of positions that a tap of the kernel joins; positions count
// pixels of the whole batch.
template <class Body>
void for_conv_pairs(const ConvDims& d, const Body& body) {
  const auto inside = [&](std::size_t p, std::size_t t, std::size_t axis, std::size_t& q) {
    q = p * d.stride[axis] + t * d.dilation[axis] - d.pad[axis];  // wraps where it is negative
    return q < d.in[axis];
  };
  std::size_t y = 0, q0 = 0, q1 = 0, q2 = 0;
  for (std::size_t n = 0; n < d.batch; ++n)
    for (std::size_t p0 = 0; p0 < d.out[0]; ++p0)
      for (std::size_t p1 = 0; p1 < d.out[1]; ++p1)
        for (std::size_t p2 = 0; p2 < d.out[2]; ++p2, ++y)
          for (std::size_t t0 = 0; t0 < d.kernel[0]; ++t0)
            for (std::size_t t1 = 0; t1 < d.kernel[1]; ++t1)
              for (std::size_t t2 = 0; t2 < d.kernel[2]; ++t2)
                if (inside(p0, t0, 0, q0) && inside(p1, t1, 1, q1) && inside(p2, t2, 2, q2))
                  body(y, ((n * d.in[0] + q0) * d.in[1] + q1) * d.in[2] + q2,
                       (t0 * d.kernel[1] + t1) * d.kernel[2] + t2);
}

// See kernels/conv.h.
template <class T>
void conv_forward(const ConvDims& d, std::span<const T> x, std::span<const T> weight, std::span<const T> bias,
                  std::span<T> y) {
  const std::size_t inputs = d.in_channels / d.groups, outputs = d.out_channels / d.groups;
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = bias.empty() ? T{} : bias[i % d.out_channels];
  for_conv_pairs(d, [&](std::size_t at_y, std::size_t at_x, std::size_t tap) {
    for (std::size_t c = 0; c < inputs; ++c)
      for (std::size_t o = 0; o < d.out_channels; ++o)
        y[at_y * d.out_channels + o] +=
            x[at_x * d.in_channels + o / outputs * inputs + c] * weight[(tap * inputs + c) * d.out_channels + o];
  });
  for (std::size_t i = 0; i < y.size() && d.relu; ++i) y[i] = y[i] < 0 ? T{} : y[i];
}

template <class T>
void conv_backward_data(const ConvDims& d, std::span<const T> weight, std::span<const T> dy, std::span<T> dx) {
  const std::size_t inputs = d.in_channels / d.groups, outputs = d.out_channels / d.groups;
  std::fill(dx.begin(), dx.end(), T{});
  for_conv_pairs(d, [&](std::size_t at_y, std::size_t at_x, std::size_t tap) {
    for (std::size_t c = 0; c < inputs; ++c)
      for (std::size_t o = 0; o < d.out_channels; ++o)
        dx[at_x * d.in_channels + o / outputs * inputs + c] +=
            dy[at_y * d.out_channels + o] * weight[(tap * inputs + c) * d.out_channels + o];
  });
}

template <class T>
void conv_backward_weights(const ConvDims& d, std::span<const T> x, std::span<const T> dy, std::span<T> dweight,
                           std::span<T> dbias) {
  const std::size_t inputs = d.in_channels / d.groups, outputs = d.out_channels / d.groups;
  for (std::size_t i = 0; i < dy.size() && !dbias.empty(); ++i) dbias[i % d.out_channels] += dy[i];
  if (dweight.empty()) return;
  for_conv_pairs(d, [&](std::size_t at_y, std::size_t at_x, std::size_t tap) {
    for (std::size_t c = 0; c < inputs; ++c)
      for (std::size_t o = 0; o < d.out_channels; ++o)
        dweight[(tap * inputs + c) * d.out_channels + o] +=
            x[at_x * d.in_channels + o / outputs * inputs + c] * dy[at_y * d.out_channels + o];
  });
}

}  // namespace reference
}  // namespace tapestry::kernels
