// Layers around Linear, Conv1d to 3d and ConvTranspose1d to 3d that compute the weight from parameters of their own:
//   WeightNorm{Conv2d{{.out = 32, .kernel = 3}}}
// What the layer computes with it (bias, activation, tail, costs, errors) stays as it is. The axis of outputs is axis 0
// of weights in PyTorch's files, and axis 1 of those of transposed convolutions, where each index is an output of every
// group.
#pragma once

#include <optional>

#include "autodiff/ops/weight_norm.h"
#include "layers/builder.h"
#include "layers/fusion.h"

namespace tapestry {
namespace detail {

// A layer that can be called with another weight.
template <class L>
concept WeightLayer = Layer<L> && requires(L& layer, const Var& x, Builder& b, const Flow& in) {
  { layer.with_weight(x, x) } -> std::same_as<Var>;
  { layer.weight_on(x) } -> std::same_as<Var>;
  { layer.build(b, in) } -> std::same_as<Flow>;
  { L::kOutputAxis } -> std::convertible_to<int>;
  layer.weight.shape();
  layer.bias.shape();
  layer.options.bias;
};

// `axes` in order, from 0 on. ShapeError, with the option's name, for one that the weight lacks or that is given twice.
Axes rising_axes(const char* layer, const char* name, const Axes& axes, const Shape& weight, const Location& where);
// Declares a number for each index along `axes` beside the weight, whose order in files it has: of the weight's rank,
// with size 1 on the other axes; [] for no axes.
void build_beside(Builder& b, Parameter& parameter, const Initializer& initializer, const Parameter& weight,
                  const Axes& axes);
// Such a parameter beside x, with the sizes of `axes` alone. ArgumentError before build().
Var beside(const Parameter& parameter, const Var& x, const Shape& weight, const Axes& axes, const char* layer,
           const Location& where);
// The lengths sqrt(sum w^2 + epsilon) for each index along `axes`, which is what build_beside() declares.
Tensor lengths(const Context& context, const Tensor& weight, const Axes& axes, double epsilon);
// Declares the vectors of spectral_norm, which start with 15 iterations from numbers of the seed.
void build_vectors(Builder& b, Buffer& u, Buffer& v, const Parameter& weight, const SpectralNormOptions& options);

// What the wrappers share: they are in a pass what the layer is, and compute it with their weight.
template <WeightLayer L>
class WeightWrapper {
 public:
  explicit WeightWrapper(L layer) : layer(std::move(layer)) {}

  L layer;

  Cost cost(const Shape& in, const Shape& out) const { return layer.cost(in, out); }  // the weight's is small
  Part part() const { return part_of(layer); }

 protected:
  Var call(const Var& x, const Var& weight, const Tail& tail) const {
    if constexpr (requires { layer.with_weight(x, weight, tail); })
      return layer.with_weight(x, weight, tail);
    else
      return finish(layer.with_weight(x, weight), tail);
  }
  Flow build_layer(Builder& b, const Flow& in, const Location& where) {
    layer.options.where.layer = where.layer;
    return layer.build(b, in);
  }
};

}  // namespace detail

// weight = weight_v weight_g / sqrt(sum weight_v^2 + epsilon): length and direction are trained apart (Salimans and
// Kingma 2016; torch.nn.utils.weight_norm, whose files have bias, weight_g [O, 1, ...] and weight_v). weight_g starts
// as the length of weight_v, so that the layer starts as it would without. weight_v is `layer.weight`.
template <detail::WeightLayer L>
class WeightNorm : public detail::WeightWrapper<L> {
 public:
  struct Options {
    std::optional<Axes> feature_axes = std::nullopt;  // of the weight; nothing: that of outputs; Axes{}: one length
    double epsilon = 1e-12;
    Location where = std::source_location::current();
  };
  WeightNorm(L layer, Options options) : detail::WeightWrapper<L>(std::move(layer)), options(std::move(options)) {}
  explicit WeightNorm(L layer, Location where = std::source_location::current())
      : WeightNorm(std::move(layer), Options{.where = where}) {}

  Options options;
  Parameter weight_g;  // of the weight's rank, with size 1 on all but feature_axes; [] where there are none

  void visit(Visitor& v) {
    if (this->layer.options.bias) v("bias", this->layer.bias);
    v("weight_g", weight_g);
    v("weight_v", this->layer.weight);
  }
  Flow build(Builder& b, const Flow& in) {
    const Flow out = this->build_layer(b, in, options.where);
    // For the op's checks.
    weight_norm(b.context().input(this->layer.weight.value()), {},
                {.epsilon = options.epsilon, .where = options.where});
    const Parameter& weight = this->layer.weight;
    const Axes axes = axes_of(weight.shape());
    const Tensor first = detail::lengths(b.context(), weight.value(), axes, options.epsilon);
    detail::build_beside(b, weight_g, Given{first}, weight, axes);
    return out;
  }
  Var operator()(const Var& x, const Tail& tail = {}) const {
    const Var v = this->layer.weight_on(x);
    const Axes axes = axes_of(v.shape());
    const Var g = detail::beside(weight_g, x, v.shape(), axes, "WeightNorm", options.where);
    const WeightNormOptions o{.feature_axes = axes, .epsilon = options.epsilon, .where = options.where};
    return this->call(x, weight_norm(v, g, o), tail);
  }

 private:
  Axes axes_of(const Shape& weight) const {
    return detail::rising_axes("WeightNorm", "feature_axes", options.feature_axes.value_or(Axes(L::kOutputAxis)),
                               weight, options.where);
  }
};

// The layer with weight_standardization(weight, gain) (Qiao et al. 2019; with gain and epsilon, Brock et al. 2021).
template <detail::WeightLayer L>
class WeightStandardization : public detail::WeightWrapper<L> {
 public:
  struct Options {
    std::optional<int> out_axis = std::nullopt;  // of the weight; nothing: that of outputs
    bool gain = false;
    Initializer gain_init = Constant{1};
    double epsilon = 1e-4;
    Location where = std::source_location::current();
  };
  WeightStandardization(L layer, Options options)
      : detail::WeightWrapper<L>(std::move(layer)), options(std::move(options)) {}
  explicit WeightStandardization(L layer, Location where = std::source_location::current())
      : WeightStandardization(std::move(layer), Options{.where = where}) {}

  Options options;
  Parameter gain;  // of the weight's rank, with size 1 on all but out_axis

  void visit(Visitor& v) {
    v("weight", this->layer.weight);
    if (this->layer.options.bias) v("bias", this->layer.bias);
    if (options.gain) v("gain", gain);
  }
  Flow build(Builder& b, const Flow& in) {
    const Flow out = this->build_layer(b, in, options.where);
    const Parameter& weight = this->layer.weight;
    weight_standardization(b.context().input(weight.value()), {}, op_options());  // for the op's checks
    if (options.gain) detail::build_beside(b, gain, options.gain_init, weight, axis_of(weight.shape()));
    return out;
  }
  Var operator()(const Var& x, const Tail& tail = {}) const {
    const Var w = this->layer.weight_on(x);
    const Var g = options.gain ? detail::beside(gain, x, w.shape(), axis_of(w.shape()), kName, options.where) : Var{};
    return this->call(x, weight_standardization(w, g, op_options()), tail);
  }

 private:
  static constexpr const char* kName = "WeightStandardization";
  Axes axis_of(const Shape& weight) const {
    return detail::rising_axes(kName, "out_axis", op_options().out_axis, weight, options.where);
  }
  WeightStandardizationOptions op_options() const {
    return {.out_axis = options.out_axis.value_or(L::kOutputAxis), .epsilon = options.epsilon, .where = options.where};
  }
};

// weight = weight_orig / sigma, its largest singular value (Miyato et al. 2018; torch.nn.utils.spectral_norm, whose
// files have bias, weight_orig, weight_u and weight_v). weight_u starts with numbers from the seed and 15 iterations;
// each training step goes on with it, evaluation uses what is stored. weight_orig is `layer.weight`.
template <detail::WeightLayer L>
class SpectralNorm : public detail::WeightWrapper<L> {
 public:
  struct Options {
    int power_iterations = 1;  // of each training step
    double epsilon = 1e-12;
    std::optional<int> out_axis = std::nullopt;  // of the weight; nothing: that of outputs
    Location where = std::source_location::current();
  };
  SpectralNorm(L layer, Options options) : detail::WeightWrapper<L>(std::move(layer)), options(std::move(options)) {}
  explicit SpectralNorm(L layer, Location where = std::source_location::current())
      : SpectralNorm(std::move(layer), Options{.where = where}) {}

  Options options;
  Buffer weight_u;  // [O]
  Buffer weight_v;  // [all other axes]

  void visit(Visitor& v) {
    if (this->layer.options.bias) v("bias", this->layer.bias);
    v("weight_orig", this->layer.weight);
    v("weight_u", weight_u);
    v("weight_v", weight_v);
  }
  Flow build(Builder& b, const Flow& in) {
    const Flow out = this->build_layer(b, in, options.where);
    detail::build_vectors(b, weight_u, weight_v, this->layer.weight, op_options(true));
    return out;
  }
  Var operator()(const Var& x, Mode mode, const Tail& tail = {}) const {
    const Var w = this->layer.weight_on(x);
    require_built(weight_u, "SpectralNorm", options.where);
    require_built(weight_v, "SpectralNorm", options.where);
    return this->call(x, spectral_norm(w, weight_u, weight_v, op_options(mode == Mode::train)), tail);
  }

 private:
  SpectralNormOptions op_options(bool training) const {
    return {.training = training,
            .power_iterations = options.power_iterations,
            .epsilon = options.epsilon,
            .out_axis = options.out_axis.value_or(L::kOutputAxis),
            .where = options.where};
  }
};

}  // namespace tapestry
