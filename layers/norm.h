// Normalization layers.
#pragma once

#include "layers/builder.h"

namespace tapestry {

// y = (x - mean) / sqrt(var + epsilon) * weight + bias over the last axes of each sample (torch.nn.LayerNorm).
class LayerNorm {
 public:
  struct Options {
    Shape normalized_shape = {};  // nothing: the last `axes` axes of what the layer before gives
    int axes = 1;                 // where no normalized_shape is given
    double epsilon = 1e-5;
    bool weight = true;
    bool bias = true;
    Initializer weight_init = Constant{1};
    Initializer bias_init = Constant{0};
    Location where = std::source_location::current();
  };
  explicit LayerNorm(Options options) : options(std::move(options)) {}
  explicit LayerNorm(Location where = std::source_location::current()) : LayerNorm(Options{.where = where}) {}

  Options options;
  Parameter weight, bias;  // of the normalized shape

  void visit(Visitor& v);
  Flow build(Builder& b, const Flow& in);
  Cost cost(const Shape& in, const Shape& out) const;
  Var operator()(const Var& x) const;

 private:
  int axes() const { return options.normalized_shape.rank() > 0 ? options.normalized_shape.rank() : options.axes; }
};

}  // namespace tapestry
