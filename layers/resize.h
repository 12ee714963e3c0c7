// Layers that change the size of images. The shapes of samples are [L, C], [H, W, C] and [D, H, W, C].
#pragma once

#include "autodiff/ops/resize.h"
#include "autodiff/ops/shape.h"
#include "layers/builder.h"

namespace tapestry {

// See interpolate(). Upsample{2} doubles each axis by repetition (torch.nn.Upsample).
class Upsample {
 public:
  using Options = InterpolateOptions;
  explicit Upsample(const Options& options) : options(options) {}
  explicit Upsample(double scale_factor, Location where = std::source_location::current())
      : options{.scale_factor = scale_factor, .where = where} {}

  Options options;

  Flow build(Builder&, const Flow& in) const;
  Cost cost(const Shape& in, const Shape& out) const;
  Var operator()(const Var& x) const { return interpolate(x, options); }
};

// See pad(): a frame around the spatial axes. Pad{1} puts a zero on every side (torch.nn.ZeroPad2d, ConstantPad2d,
// ReflectionPad2d, ReplicationPad2d, CircularPad2d and their kin).
class Pad {
 public:
  struct Options {
    PerAxis<std::int64_t> before = {}, after = {};  // new positions on each side; nothing: 0
    double value = 0;
    PadMode mode = PadMode::constant;
    Location where = std::source_location::current();
  };
  explicit Pad(const Options& options) : options(options) {}
  explicit Pad(std::int64_t width, Location where = std::source_location::current())
      : options{.before = width, .after = width, .where = where} {}

  Options options;

  Flow build(Builder&, const Flow& in) const;
  Cost cost(const Shape& in, const Shape& out) const;
  Var operator()(const Var& x) const;
};

}  // namespace tapestry
