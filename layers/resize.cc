#include "layers/resize.h"

#include <fmt/format.h>

#include "kernels/error.h"

namespace tapestry {
namespace {

// The options of the op for x [N, ..., C].
PadOptions pad_options(const Pad::Options& options, const Shape& x) {
  const int axes = x.rank() - 2;
  const auto widths = [&](const PerAxis<std::int64_t>& given) {
    if (axes < 1 || (given.count() > 1 && given.count() != axes))
      fail<ShapeError>(
          options.where, "Pad",
          fmt::format("needs one width, or one for each spatial axis of {}; got {}", to_string(x), given.count()));
    PadSizes sizes{0};
    for (int axis = 0; axis < axes; ++axis) sizes.add(given[axis]);
    sizes.add(0);
    return sizes;
  };
  return {.before = widths(options.before),
          .after = widths(options.after),
          .value = options.value,
          .mode = options.mode,
          .where = options.where};
}

}  // namespace

Flow Upsample::build(Builder&, const Flow& in) const {
  return in.shape ? Flow(interpolated_shape(in.shape->prepend(1), options).drop_front(), in.guessed) : Flow();
}

Cost Upsample::cost(const Shape&, const Shape& out) const {
  const auto elements = static_cast<double>(out.size());
  const int neighbours = options.mode == Interpolation::nearest ? 0 : 1 << (out.rank() - 1);
  return {elements * 2 * neighbours, elements * sizeof(float)};
}

Flow Pad::build(Builder&, const Flow& in) const {
  if (!in.shape) return {};
  const Shape x = in.shape->prepend(1);
  return Flow(padded_shape(x, pad_options(options, x)).drop_front(), in.guessed);
}

Cost Pad::cost(const Shape&, const Shape& out) const { return {0, static_cast<double>(out.size()) * sizeof(float)}; }

Var Pad::operator()(const Var& x) const {
  if (!x.value()) fail<ArgumentError>(options.where, "Pad", "the input holds nothing");
  return pad(x, pad_options(options, x.shape()));
}

}  // namespace tapestry
