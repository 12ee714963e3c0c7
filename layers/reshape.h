// Layers without numbers of their own that change shapes, or nothing.
#pragma once

#include <functional>

#include "autodiff/ops/reshape.h"
#include "layers/builder.h"

namespace tapestry {

// [N, ...] -> [N, product of the rest], in the channels-last order of memory: [N, H, W, C] gives H, W, C where
// torch.nn.Flatten of [N, C, H, W] gives C, H, W. Files have PyTorch's order all the same: what follows, such as Linear
// or a norm behind activations and dropout, is saved and loaded with its weights in C, H, W. (A layer of one's own
// counts as an activation when it keeps the shape.)
class Flatten {
 public:
  struct Options {
    Location where = std::source_location::current();
  };
  explicit Flatten(Location where = std::source_location::current()) : options{.where = where} {}

  Options options;

  Flow build(Builder&, const Flow& in) const;
  Cost cost(const Shape&, const Shape&) const { return {}; }
  Var operator()(const Var& x) const { return flatten(x, 1, options.where); }
};

// y = x.
class Identity {
 public:
  Flow build(Builder&, const Flow& in) const { return in; }
  Cost cost(const Shape&, const Shape&) const { return {}; }
  Var operator()(const Var& x) const { return x; }
};

// y = f(x) for any function of a Var. A function of the mode too may stand in a model as it is, without Lambda.
class Lambda {
 public:
  explicit Lambda(std::function<Var(const Var&)> function);  // ArgumentError when the function is empty
  Var operator()(const Var& x) const { return function_(x); }

 private:
  std::function<Var(const Var&)> function_;
};

}  // namespace tapestry
