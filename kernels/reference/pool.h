#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>

namespace tapestry::kernels {

// Windows over x [N, in, C], each of which gives a position of y [N, out, C]; the three axes are those of convolutions.
// Window p joins the positions p stride - pad + t dilation for the taps t < kernel, or, when `adaptive`, those from
// floor(p in / out) to below ceil((p + 1) in / out), where kernel is at least the longest of them. What lies outside x
// does not take part.
struct PoolDims {
  using Axes = std::array<std::size_t, 3>;
  std::size_t batch = 0, channels = 1;
  Axes in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1}, pad{};
  bool adaptive = false;
  bool count_include_pad = true;  // averages count what lies in the padding, as zeros
  std::int64_t divisor = 0;       // of averages, whatever the window; 0: its positions

  std::size_t x_size() const { return batch * in[0] * in[1] * in[2] * channels; }
  std::size_t y_size() const { return batch * out[0] * out[1] * out[2] * channels; }
  std::size_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
};

namespace reference {

// Calls body(q, tap) for the positions q of x that the window of p joins along one axis, in ascending order.
template <class Body>
void for_pool_axis(const PoolDims& d, std::size_t axis, std::size_t p, const Body& body) {
  const std::size_t in = d.in[axis], out = d.out[axis];
  if (d.adaptive) {
    const std::size_t begin = p * in / out, end = ((p + 1) * in + out - 1) / out;
    for (std::size_t q = begin; q < end; ++q) body(q, q - begin);
    return;
  }
  const std::size_t start = p * d.stride[axis], pad = d.pad[axis], step = d.dilation[axis];
  for (std::size_t t = start < pad ? (pad - start + step - 1) / step : 0; t < d.kernel[axis]; ++t) {
    const std::size_t q = start + t * step - pad;
    if (q >= in) return;
    body(q, t);
  }
}

// By how much the sum over the window of p counts along one axis; the product over the axes is 1 / divisor.
inline double pool_share(const PoolDims& d, std::size_t axis, std::size_t p) {
  if (d.divisor != 0) return axis == 0 ? 1 / static_cast<double>(d.divisor) : 1;
  std::size_t count = 0;
  if (d.adaptive || !d.count_include_pad)
    for_pool_axis(d, axis, p, [&](std::size_t, std::size_t) { ++count; });
  else
    count = std::min(d.kernel[axis], d.in[axis] + 2 * d.pad[axis] - p * d.stride[axis]);
  return 1 / static_cast<double>(count);
}

// Calls body(y position, x position, tap, share) for all pairs that a window joins, in order of y, then of tap;
// positions count pixels of the whole batch.
template <class Body>
void for_pool_pairs(const PoolDims& d, const Body& body) {
  std::size_t y = 0;
  for (std::size_t n = 0; n < d.batch; ++n)
    for (std::size_t p0 = 0; p0 < d.out[0]; ++p0)
      for (std::size_t p1 = 0; p1 < d.out[1]; ++p1)
        for (std::size_t p2 = 0; p2 < d.out[2]; ++p2, ++y) {
          const double share = pool_share(d, 0, p0) * pool_share(d, 1, p1) * pool_share(d, 2, p2);
          for_pool_axis(d, 0, p0, [&](std::size_t q0, std::size_t t0) {
            for_pool_axis(d, 1, p1, [&](std::size_t q1, std::size_t t1) {
              for_pool_axis(d, 2, p2, [&](std::size_t q2, std::size_t t2) {
                body(y, ((n * d.in[0] + q0) * d.in[1] + q1) * d.in[2] + q2, (t0 * d.kernel[1] + t1) * d.kernel[2] + t2,
                     share);
              });
            });
          });
        }
}

// See kernels/pool.h.
template <class T, class Index>
void max_pool_forward(const PoolDims& d, std::span<const T> x, std::span<T> y, std::span<Index> argmax) {
  std::fill(y.begin(), y.end(), -std::numeric_limits<T>::infinity());
  std::fill(argmax.begin(), argmax.end(), Index{});
  std::size_t before = d.y_size();  // the position whose window was met last
  for_pool_pairs(d, [&](std::size_t at_y, std::size_t at_x, std::size_t tap, double) {
    const bool first = std::exchange(before, at_y) != at_y;
    for (std::size_t c = 0; c < d.channels; ++c) {
      const T value = x[at_x * d.channels + c];
      T& best = y[at_y * d.channels + c];
      if (!first && !(value > best) && !std::isnan(value)) continue;
      best = value;
      if (!argmax.empty()) argmax[at_y * d.channels + c] = static_cast<Index>(tap);
    }
  });
}

template <class T, class Index>
void max_pool_backward(const PoolDims& d, std::span<const Index> argmax, std::span<const T> dy, std::span<T> dx) {
  std::fill(dx.begin(), dx.end(), T{});
  for_pool_pairs(d, [&](std::size_t at_y, std::size_t at_x, std::size_t tap, double) {
    for (std::size_t c = 0; c < d.channels; ++c)
      if (argmax[at_y * d.channels + c] == static_cast<Index>(tap))
        dx[at_x * d.channels + c] += dy[at_y * d.channels + c];
  });
}

template <class T>
void avg_pool_forward(const PoolDims& d, std::span<const T> x, std::span<T> y) {
  std::fill(y.begin(), y.end(), T{});
  for_pool_pairs(d, [&](std::size_t at_y, std::size_t at_x, std::size_t, double share) {
    for (std::size_t c = 0; c < d.channels; ++c)
      y[at_y * d.channels + c] += static_cast<T>(share) * x[at_x * d.channels + c];
  });
}

template <class T>
void avg_pool_backward(const PoolDims& d, std::span<const T> dy, std::span<T> dx) {
  std::fill(dx.begin(), dx.end(), T{});
  for_pool_pairs(d, [&](std::size_t at_y, std::size_t at_x, std::size_t, double share) {
    for (std::size_t c = 0; c < d.channels; ++c)
      dx[at_x * d.channels + c] += static_cast<T>(share) * dy[at_y * d.channels + c];
  });
}

}  // namespace reference
}  // namespace tapestry::kernels
