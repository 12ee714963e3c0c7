// The affine map.
#pragma once

#include "layers/builder.h"

namespace tapestry {

// y[..., O] = x[..., I] weight[I, O] + bias[O] (torch.nn.Linear, whose files hold weight as [O, I]).
class Linear {
 public:
  struct Options {
    std::int64_t out = 0;
    std::int64_t in = 0;  // 0: the last axis of what the layer before gives
    bool bias = true;
    Initializer weight_init = default_initializer();
    Initializer bias_init = default_initializer();  // sees the fans of weight
    Location where = std::source_location::current();
  };
  explicit Linear(Options options) : options(std::move(options)) {}

  Options options;
  Parameter weight;  // [I, O]
  Parameter bias;    // [O]

  void visit(Visitor& v);
  Flow build(Builder& b, const Flow& in);
  Cost cost(const Shape& in, const Shape& out) const;
  Var operator()(const Var& x) const { return with_weight(x, weight_on(x)); }
  // The layer with another weight of this shape, for what computes one from it (layers/weight_norm.h).
  Var with_weight(const Var& x, const Var& weight) const;
  Var weight_on(const Var& x) const;      // the weight beside x; ArgumentError before build()
  static constexpr int kOutputAxis = -1;  // of weight
};

}  // namespace tapestry
