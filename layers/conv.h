// Convolutions of channels-last images.
#pragma once

#include "autodiff/ops/conv.h"
#include "layers/builder.h"
#include "layers/fusion.h"

namespace tapestry {
namespace detail {

template <int Axes>
class Conv {
 public:
  struct Options {
    std::int64_t out = 0;
    std::int64_t in = 0;  // 0: the channels of what the layer before gives
    Sizes<Axes> kernel = 0;
    Sizes<Axes> stride = 1;
    PaddingSizes<Axes> padding = 0;  // or Padding::same
    Sizes<Axes> dilation = 1;
    std::int64_t groups = 1;
    bool bias = true;
    Activation activation = Activation::none;
    Initializer weight_init = default_initializer();
    Initializer bias_init = default_initializer();  // sees the fans of weight
    Location where = std::source_location::current();
  };
  explicit Conv(Options options) : options(std::move(options)) {}

  Options options;
  Parameter weight;  // [kernel, in/groups, out]
  Parameter bias;    // [out]

  void visit(Visitor& v);
  Flow build(Builder& b, const Flow& in);
  Cost cost(const Shape& in, const Shape& out) const;
  Var operator()(const Var& x, const Tail& tail = {}) const { return with_weight(x, weight_on(x), tail); }
  Part part() const { return Part::first(Part::Stage::convolution, options.activation); }
  // The layer with another weight of this shape, for what computes one from it (layers/weight_norm.h).
  Var with_weight(const Var& x, const Var& weight, const Tail& tail = {}) const;
  Var weight_on(const Var& x) const;      // the weight beside x; ArgumentError before build()
  static constexpr int kOutputAxis = -1;  // of weight
};

template <int Axes>
class ConvTranspose {
 public:
  struct Options {
    std::int64_t out = 0;
    std::int64_t in = 0;  // 0: the channels of what the layer before gives
    Sizes<Axes> kernel = 0;
    Sizes<Axes> stride = 1;
    Sizes<Axes> padding = 0;
    Sizes<Axes> output_padding = 0;
    Sizes<Axes> dilation = 1;
    std::int64_t groups = 1;
    bool bias = true;
    Activation activation = Activation::none;
    Initializer weight_init = default_initializer();
    Initializer bias_init = default_initializer();  // sees the fans of weight
    Location where = std::source_location::current();
  };
  explicit ConvTranspose(Options options) : options(std::move(options)) {}

  Options options;
  Parameter weight;  // [kernel, out/groups, in]
  Parameter bias;    // [out]

  void visit(Visitor& v);
  Flow build(Builder& b, const Flow& in);
  Cost cost(const Shape& in, const Shape& out) const;
  Var operator()(const Var& x) const { return with_weight(x, weight_on(x)); }
  // The layer with another weight of this shape, for what computes one from it (layers/weight_norm.h).
  Var with_weight(const Var& x, const Var& weight) const;
  Var weight_on(const Var& x) const;      // the weight beside x; ArgumentError before build()
  static constexpr int kOutputAxis = -2;  // of weight; each index is an output of every group
};

}  // namespace detail

// y = activation(conv(x, weight) + bias), see autodiff/ops/conv.h (torch.nn.Conv2d, whose files hold weight as
// [out, in/groups, kernel]). The shapes of samples are [L, C], [H, W, C] and [D, H, W, C].
struct Conv1d : detail::Conv<1> {
  explicit Conv1d(Options options) : Conv(std::move(options)) {}
};
struct Conv2d : detail::Conv<2> {
  explicit Conv2d(Options options) : Conv(std::move(options)) {}
};
struct Conv3d : detail::Conv<3> {
  explicit Conv3d(Options options) : Conv(std::move(options)) {}
};

// y = activation(conv_transpose(x, weight) + bias) (torch.nn.ConvTranspose2d, whose files hold weight as
// [in, out/groups, kernel]).
struct ConvTranspose1d : detail::ConvTranspose<1> {
  explicit ConvTranspose1d(Options options) : ConvTranspose(std::move(options)) {}
};
struct ConvTranspose2d : detail::ConvTranspose<2> {
  explicit ConvTranspose2d(Options options) : ConvTranspose(std::move(options)) {}
};
struct ConvTranspose3d : detail::ConvTranspose<3> {
  explicit ConvTranspose3d(Options options) : ConvTranspose(std::move(options)) {}
};

}  // namespace tapestry
