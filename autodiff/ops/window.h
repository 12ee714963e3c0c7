// Windows that slide over spatial axes: what convolutions and pooling share.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>

#include "autodiff/location.h"
#include "autodiff/shape.h"

namespace tapestry {

// One number for all spatial axes, or one for each, outermost first: `.kernel = 3` or `.kernel = {3, 5}`.
template <int Axes>
struct Sizes {
  template <std::integral... Numbers>
  requires(sizeof...(Numbers) == 1 ||
           sizeof...(Numbers) == Axes) constexpr Sizes(Numbers... numbers)  // NOLINT: implicit
      : values{static_cast<std::int64_t>(numbers)...} {
    if constexpr (sizeof...(Numbers) == 1) values.fill(values[0]);
  }
  constexpr std::int64_t operator[](int axis) const { return values[static_cast<std::size_t>(axis)]; }
  friend constexpr bool operator==(const Sizes&, const Sizes&) = default;

  std::array<std::int64_t, static_cast<std::size_t>(Axes)> values;
};

enum class Padding { valid, same };  // none; as much as keeps the size

// Zeros around the input: as many before as behind, by number; or by rule.
template <int Axes>
struct PaddingSizes {
  constexpr PaddingSizes(Padding rule) : same(rule == Padding::same) {}  // NOLINT: implicit
  template <std::integral... Numbers>
  requires(sizeof...(Numbers) == 1 || sizeof...(Numbers) == Axes) constexpr PaddingSizes(Numbers... numbers)  // NOLINT
      : sizes(numbers...) {}
  friend constexpr bool operator==(const PaddingSizes&, const PaddingSizes&) = default;

  Sizes<Axes> sizes = 0;
  bool same = false;  // dilation (kernel - 1) zeros, of which an odd one lies behind
};

// A window on the three spatial axes of the kernels: those of 1-D and 2-D come last, missing ones have size 1.
struct Window {
  using Axes = std::array<std::int64_t, 3>;
  int rank = 0;  // how many of the axes exist
  Axes in{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1};
  Axes before{}, after{};  // padding
  Axes out{1, 1, 1};
};

// The sizes of an axis list as a Window holds them.
template <int Axes>
constexpr Window::Axes spatial(const Sizes<Axes>& sizes, std::int64_t missing) {
  Window::Axes axes{missing, missing, missing};
  std::copy(sizes.values.begin(), sizes.values.end(), axes.end() - Axes);
  return axes;
}

// The spatial sizes of x [N, in, C]; ShapeError unless it has rank + 2 axes.
Window::Axes spatial_sizes(const char* op, int rank, const Shape& x, const Location& where);

// ArgumentError, which names `option`, where one of its sizes for the window's axes is below `least` or above 2^31 - 1.
void check_sizes(const char* op, const char* option, int rank, const Window::Axes& sizes, std::int64_t least,
                 const Location& where);

// The same for all numbers of a window, each by its name.
void check_window(const char* op, const Window& window, const Location& where);

// Sets before and after to what Padding::same needs. ArgumentError for a stride other than 1, as in PyTorch.
void pad_same(const char* op, Window& window, const Location& where);

// Sets out to floor((in + before + after - dilation (kernel - 1) - 1) / stride) + 1 on each axis; `ceil` rounds up, but
// drops a window that would start behind the input and the padding before it (torch.nn.MaxPool2d). ArgumentError for
// numbers out of range, ShapeError where the kernel is larger than the padded input.
void set_output_sizes(const char* op, Window& window, const Location& where, bool ceil = false);

// Sets out to (in - 1) stride - 2 before + dilation (kernel - 1) + output_padding + 1 on each axis: the sizes of which
// a convolution makes `in`. ArgumentError for numbers out of range (output_padding must be below stride or dilation),
// ShapeError where nothing is left.
void set_transposed_sizes(const char* op, Window& window, const Window::Axes& output_padding, const Location& where);

// [N, out, C] for x [N, in, C'] with its channels replaced. ShapeError when that are too many elements.
Shape output_shape(const char* op, const Shape& x, const Window& window, std::int64_t channels, const Location& where);

}  // namespace tapestry
