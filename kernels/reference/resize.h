#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <span>

namespace tapestry::kernels {

// What a position of y reads along an axis when x [N, in, C] is resized to y [N, out, C].
enum class ResizeKind { nearest, linear, linear_corners, reflect, replicate, circular };
struct ResizeDims {
  using Axes = std::array<std::size_t, 3>;
  ResizeKind kind = ResizeKind::nearest;
  std::size_t batch = 0, channels = 1;
  Axes in{1, 1, 1}, out{1, 1, 1};
  Axes before{};                  // of paddings: new positions in front
  std::array<double, 3> scale{};  // of nearest and linear: out per in, as the user said; 0: out / in

  std::size_t x_size() const { return batch * in[0] * in[1] * in[2] * channels; }
  std::size_t y_size() const { return batch * out[0] * out[1] * out[2] * channels; }
};

namespace reference {

// The position of x nearest to p of y, in the arithmetic of PyTorch, which is float whatever the elements are.
inline std::size_t nearest_position(std::size_t p, std::size_t in, std::size_t out, double scale) {
  if (in == out) return p;
  if (out == 2 * in) return p / 2;
  const float step = scale > 0 ? static_cast<float>(1 / scale) : static_cast<float>(in) / static_cast<float>(out);
  return std::min(static_cast<std::size_t>(std::floor(static_cast<float>(p) * step)), in - 1);
}

// Where p of y lies among the positions of x.
inline double linear_position(std::size_t p, std::size_t in, std::size_t out, double scale, bool corners) {
  if (corners) return out > 1 ? static_cast<double>(p) * static_cast<double>(in - 1) / static_cast<double>(out - 1) : 0;
  const double step = scale > 0 ? 1 / scale : static_cast<double>(in) / static_cast<double>(out);
  return std::clamp((static_cast<double>(p) + 0.5) * step - 0.5, 0.0, static_cast<double>(in - 1));
}

// The position of x that a padding repeats at p of y.
inline std::size_t padding_position(std::size_t p, std::size_t in, std::size_t before, ResizeKind kind) {
  if (p >= before && p < before + in) return p - before;
  const bool front = p < before;
  const std::size_t distance = front ? before - p : p - before - in + 1;  // from the border, 1 or more
  if (kind == ResizeKind::replicate) return front ? 0 : in - 1;
  if (kind == ResizeKind::reflect) return front ? distance : in - 1 - distance;
  return front ? in - distance : distance - 1;
}

// Calls body(q, weight) for the positions q of x that p of y is made of along one axis, in ascending order.
template <class Body>
void for_resize_axis(const ResizeDims& d, std::size_t axis, std::size_t p, const Body& body) {
  const std::size_t in = d.in[axis], out = d.out[axis];
  const bool corners = d.kind == ResizeKind::linear_corners;
  if (d.kind == ResizeKind::nearest) return body(nearest_position(p, in, out, d.scale[axis]), 1.0);
  if (d.kind != ResizeKind::linear && !corners) return body(padding_position(p, in, d.before[axis], d.kind), 1.0);
  if (in == out) return body(p, 1.0);
  const double at = linear_position(p, in, out, d.scale[axis], corners);
  const std::size_t q = static_cast<std::size_t>(at);
  const double share = at - static_cast<double>(q);
  body(q, 1 - share);
  if (share > 0) body(q + 1, share);
}

// Calls body(y position, x position, weight) for all pairs, in order of y; positions count pixels of the whole batch.
template <class Body>
void for_resize_pairs(const ResizeDims& d, const Body& body) {
  std::size_t y = 0;
  for (std::size_t n = 0; n < d.batch; ++n)
    for (std::size_t p0 = 0; p0 < d.out[0]; ++p0)
      for (std::size_t p1 = 0; p1 < d.out[1]; ++p1)
        for (std::size_t p2 = 0; p2 < d.out[2]; ++p2, ++y)
          for_resize_axis(d, 0, p0, [&](std::size_t q0, double w0) {
            for_resize_axis(d, 1, p1, [&](std::size_t q1, double w1) {
              for_resize_axis(d, 2, p2, [&](std::size_t q2, double w2) {
                body(y, ((n * d.in[0] + q0) * d.in[1] + q1) * d.in[2] + q2, w0 * w1 * w2);
              });
            });
          });
}

// See kernels/resize.h.
template <class T>
void resize_forward(const ResizeDims& d, std::span<const T> x, std::span<T> y) {
  std::fill(y.begin(), y.end(), T{});
  for_resize_pairs(d, [&](std::size_t at_y, std::size_t at_x, double weight) {
    for (std::size_t c = 0; c < d.channels; ++c)
      y[at_y * d.channels + c] += static_cast<T>(weight) * x[at_x * d.channels + c];
  });
}

template <class T>
void resize_backward(const ResizeDims& d, std::span<const T> dy, std::span<T> dx) {
  std::fill(dx.begin(), dx.end(), T{});
  for_resize_pairs(d, [&](std::size_t at_y, std::size_t at_x, double weight) {
    for (std::size_t c = 0; c < d.channels; ++c)
      dx[at_x * d.channels + c] += static_cast<T>(weight) * dy[at_y * d.channels + c];
  });
}

}  // namespace reference
}  // namespace tapestry::kernels
