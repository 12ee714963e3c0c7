#include "layers/norm_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "autodiff/ops/norm_operands.h"
#include "kernels/error.h"

namespace tapestry::detail {

Shape flattened_for(const Shape& shape, const Flow& in) {
  return shape.rank() == 1 && shape[0] == in.flattened.size() ? in.flattened : Shape{};
}

void declare(Builder& b, Parameter& parameter, const Shape& shape, const NormParameter& with, const Flow& in) {
  b.parameter(parameter, shape, with.initializer, {.flattened = flattened_for(shape, in)});
  if (!with.trainable) parameter.freeze();
}

Var affine_on(const Parameter& parameter, bool given, const Var& x, std::string_view layer, const Location& where) {
  if (!given) return {};
  require_built(parameter, layer, where);
  return parameter.on(x);
}

void check_numbers(std::string_view layer, double epsilon, const std::optional<DType>& dtype, const Location& where) {
  check_epsilon(layer, epsilon, where);
  if (dtype && *dtype != DType::float32 && *dtype != DType::float64)
    fail<ArgumentError>(where, layer, fmt::format("dtype must be float32 or float64; it is {}", dtype_name(*dtype)));
}

void check_fraction(std::string_view layer, std::string_view option, double value, const Location& where) {
  if (!(value >= 0 && value <= 1))
    fail<ArgumentError>(where, layer, fmt::format("{} is {}, it must be in [0, 1]", option, value));
}

void check_rank_option(std::string_view layer, int rank, int low, int high, const Location& where) {
  if (rank != 0 && (rank < low || rank > high))
    fail<ArgumentError>(where, layer, fmt::format("rank is {}, it must be from {} to {}, or 0", rank, low, high));
}

namespace {

// What an input of so many axes is.
std::string input_of(int rank) {
  constexpr std::string_view kInputs[] = {"[N, C]", "[N, L, C]", "[N, H, W, C]", "[N, D, H, W, C]"};
  return rank >= 2 && rank <= 5 ? std::string(kInputs[rank - 2]) : fmt::format("{}D", rank);
}

}  // namespace

void check_rank(std::string_view layer, int rank, int low, int high, const Shape& shape, const Location& where) {
  if (rank >= low && rank <= high) return;
  const std::string first = input_of(low), last = input_of(high);
  const std::string wanted = low == high ? fmt::format("{}D", low) : fmt::format("{}D or {}D", low, high);
  fail<ShapeError>(where, layer,
                   fmt::format("expected {} input (got {}D input): the input must be {}{}{}; it is {}{}", wanted, rank,
                               first, low == high ? "" : " or ", low == high ? "" : last,
                               rank == shape.rank() ? "" : "N samples of ", to_string(shape)));
}

Axes canonical(std::string_view layer, std::string_view option, const Axes& axes, int rank, const Location& where) {
  const auto fault = fault_of(axes, rank);
  if (!fault) return rising(axes, rank);
  fail<ShapeError>(
      where, layer,
      fault->twice
          ? fmt::format("{} {} of {}D input have to contain only unique values", option, to_string(axes), rank)
          : fmt::format("Invalid axis {} for {}D input; {} is {}", fault->axis, rank, option, to_string(axes)));
}

namespace {

// In rising order without a rank; ShapeError where that depends on it.
Axes rising_unseen(std::string_view layer, const Axes& axes, const Location& where) {
  std::vector<int> sorted(axes.begin(), axes.end());
  std::ranges::sort(sorted);
  if (!sorted.empty() && sorted.front() < 0 && sorted.back() >= 0)
    fail<ShapeError>(
        where, layer,
        fmt::format("the order of the axes {} depends on the input: say its shape, as in Input{{28, 28, 1}} >> ...",
                    to_string(axes)));
  Axes rising;
  for (int axis : sorted) rising.add(axis);
  return rising;
}

}  // namespace

Shape feature_sizes(std::string_view layer, std::string_view option, const Shape& given, const Axes& axes,
                    const Builder& b, const Flow& in, const Location& where) {
  if (given.rank() > 0 && given.rank() != axes.count())
    fail<ShapeError>(
        where, layer,
        fmt::format("{} is {}, but the parameters are along the axes {}", option, to_string(given), to_string(axes)));
  const Axes known = in.shape ? canonical(layer, "feature axes", axes, in.shape->rank() + 1, where)
                              : rising_unseen(layer, axes, where);
  Shape sizes;
  for (int i = 0; i < axes.count(); ++i) {
    if (known[i] == 0) fail<ShapeError>(where, layer, "axis 0 is the batch, it cannot be a feature axis");
    const int of_sample = known[i] < 0 ? known[i] : known[i] - 1;
    sizes = sizes.append(b.size(option, given.rank() > 0 ? given[i] : 0, in, of_sample, where));
  }
  return sizes;
}

Shape channel_sizes(std::string_view layer, std::string_view option, std::int64_t given, const Axes& axes,
                    const Builder& b, const Flow& in, const Location& where) {
  if (given < 0) fail<ArgumentError>(where, layer, fmt::format("{} is {}, it must be positive", option, given));
  if (axes.count() == 0) fail<ArgumentError>(where, layer, "there must be at least one feature axis");
  if (given > 0 && axes.count() > 1 && !in.shape)
    fail<ShapeError>(where, layer,
                     fmt::format("the sizes of the feature axes {} are not known: say the shape of the input, as in "
                                 "Input{{28, 28, 1}} >> ...",
                                 to_string(axes)));
  const Shape sizes = feature_sizes(layer, option, axes.count() == 1 ? Shape{given} : Shape{}, axes, b, in, where);
  if (given > 0 && sizes.size() != given)
    fail<ShapeError>(
        where, layer,
        fmt::format("{} is {}, but the feature axes {} have {}", option, given, to_string(axes), sizes.size()));
  return sizes;
}

void check_channels(std::string_view layer, std::string_view option, std::int64_t given, const Axes& axes,
                    const Shape& x, const Location& where) {
  if (given == 0) return;
  std::int64_t found = 1;
  for (const int axis : canonical(layer, "feature_axes", axes, x.rank(), where)) found *= x[axis];
  if (found != given)
    fail<ShapeError>(where, layer, fmt::format("{} is {}, but x {} has {}", option, given, to_string(x), found));
}

}  // namespace tapestry::detail
