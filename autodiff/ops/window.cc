#include "autodiff/ops/window.h"

#include <fmt/format.h>

#include <limits>

#include "kernels/error.h"

namespace tapestry {
namespace {

std::string describe(int rank, const Window::Axes& sizes) {
  return fmt::format("[{}]", fmt::join(sizes.end() - rank, sizes.end(), ", "));
}

}  // namespace

Window::Axes spatial_sizes(const char* op, int rank, const Shape& x, const Location& where) {
  constexpr const char* kAxes[] = {"L", "H, W", "D, H, W"};
  if (x.rank() != rank + 2)
    fail<ShapeError>(where, op, fmt::format("x must be [N, {}, C]; it is {}", kAxes[rank - 1], to_string(x)));
  Window::Axes sizes{1, 1, 1};
  std::copy(x.begin() + 1, x.end() - 1, sizes.end() - rank);
  return sizes;
}

void check_sizes(const char* op, const char* option, int rank, const Window::Axes& sizes, std::int64_t least,
                 const Location& where) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();  // products of two fit 64 bits
  for (const std::int64_t size : sizes)
    if (size < least || size > kMost)
      fail<ArgumentError>(where, op,
                          fmt::format("{} must be in [{}, {}]; it is {}", option, least, kMost, describe(rank, sizes)));
}

void check_window(const char* op, const Window& window, const Location& where) {
  check_sizes(op, "kernel", window.rank, window.kernel, 1, where);
  check_sizes(op, "stride", window.rank, window.stride, 1, where);
  check_sizes(op, "dilation", window.rank, window.dilation, 1, where);
  check_sizes(op, "padding", window.rank, window.before, 0, where);
  check_sizes(op, "padding", window.rank, window.after, 0, where);
}

void pad_same(const char* op, Window& window, const Location& where) {
  check_window(op, window, where);
  for (std::size_t axis = 0; axis < 3; ++axis) {
    if (window.stride[axis] != 1)
      fail<ArgumentError>(
          where, op, fmt::format("padding `same` needs stride 1; stride is {}", describe(window.rank, window.stride)));
    const std::int64_t total = window.dilation[axis] * (window.kernel[axis] - 1);
    window.before[axis] = total / 2;
    window.after[axis] = total - total / 2;
  }
}

void set_output_sizes(const char* op, Window& window, const Location& where, bool ceil) {
  check_window(op, window, where);
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const std::int64_t stride = window.stride[axis],
                       padded = window.in[axis] + window.before[axis] + window.after[axis];
    const std::int64_t free = padded - window.dilation[axis] * (window.kernel[axis] - 1) - 1 + (ceil ? stride - 1 : 0);
    if (free < 0)
      fail<ShapeError>(where, op,
                       fmt::format("the kernel {} with dilation {} is larger than the input {} with padding {} before "
                                   "and {} behind",
                                   describe(window.rank, window.kernel), describe(window.rank, window.dilation),
                                   describe(window.rank, window.in), describe(window.rank, window.before),
                                   describe(window.rank, window.after)));
    std::int64_t& out = window.out[axis];
    out = free / stride + 1;
    if (ceil && (out - 1) * stride >= window.in[axis] + window.before[axis]) --out;
  }
}

void set_transposed_sizes(const char* op, Window& window, const Window::Axes& output_padding, const Location& where) {
  check_window(op, window, where);
  check_sizes(op, "output_padding", window.rank, output_padding, 0, where);
  check_sizes(op, "the size of the input", window.rank, window.in, 1, where);
  for (std::size_t axis = 0; axis < 3; ++axis) {
    if (output_padding[axis] >= std::max(window.stride[axis], window.dilation[axis]))
      fail<ArgumentError>(where, op,
                          fmt::format("output_padding {} must be smaller than stride {} or dilation {}",
                                      describe(window.rank, output_padding), describe(window.rank, window.stride),
                                      describe(window.rank, window.dilation)));
    window.out[axis] = (window.in[axis] - 1) * window.stride[axis] - 2 * window.before[axis] +
                       window.dilation[axis] * (window.kernel[axis] - 1) + output_padding[axis] + 1;
    if (window.out[axis] < 1)
      fail<ShapeError>(where, op,
                       fmt::format("padding {} leaves nothing of the input {} with the kernel {} and stride {}",
                                   describe(window.rank, window.before), describe(window.rank, window.in),
                                   describe(window.rank, window.kernel), describe(window.rank, window.stride)));
  }
}

Shape output_shape(const char* op, const Shape& x, const Window& window, std::int64_t channels, const Location& where) {
  std::array<std::int64_t, 5> sizes{x[0]};
  std::copy(window.out.end() - window.rank, window.out.end(), sizes.begin() + 1);
  sizes[static_cast<std::size_t>(window.rank) + 1] = channels;
  try {
    return Shape(std::span(sizes).first(static_cast<std::size_t>(window.rank) + 2));
  } catch (const ShapeError& error) {
    fail<ShapeError>(where, op,
                     fmt::format("the output would be {}: {}", describe(window.rank, window.out), error.what()));
  }
}

}  // namespace tapestry
