// A norm of one's own, in one file: switchable norm (Luo et al., "Differentiable learning-to-normalize via switchable
// normalization", 2019). Each layer learns how much it takes of the statistics of instance, layer and batch norm.
#include <fmt/format.h>

#include <array>

#include "examples/program.h"

using namespace tapestry;

namespace {

// y = (x - mean) / sqrt(variance + epsilon) * weight + bias of images [N, H, W, C]. The mean is m0 of each channel of
// an image, m1 of each image and m2 of each channel of the batch, where m is the softmax of mean_weight; the variance
// likewise. Evaluation takes running statistics for those of the batch.
class SwitchableNorm2d {
 public:
  struct Options {
    double epsilon = 1e-5;
    double momentum = 0.9;  // the weight of the old running statistics
    Location where = std::source_location::current();
  };
  explicit SwitchableNorm2d(Options options) : options(options) {}
  explicit SwitchableNorm2d(Location where = std::source_location::current())
      : SwitchableNorm2d(Options{.where = where}) {}

  Options options;
  Parameter weight, bias;                  // [C]
  Parameter mean_weight, variance_weight;  // [3]
  Buffer running_mean, running_var;        // [C]

  void visit(Visitor& v) {
    v("weight", weight);
    v("bias", bias);
    v("mean_weight", mean_weight);
    v("variance_weight", variance_weight);
    v("running_mean", running_mean);
    v("running_var", running_var);
  }

  Flow build(Builder& b, const Flow& in) {
    const Shape channels{b.size("channels", 0, in, -1, options.where)};
    b.parameter(weight, channels, 1.0);
    b.parameter(bias, channels, 0.0);
    b.parameter(mean_weight, {3}, 1.0);
    b.parameter(variance_weight, {3}, 1.0);
    b.buffer(running_mean, channels, 0.0);
    b.buffer(running_var, channels, 1.0);
    return in;
  }

  Var operator()(const Var& x, Mode mode) const {
    const bool training = mode == Mode::train;
    const Moments instance = moments(x, {.axes = {1, 2}, .where = options.where}), image = joined(instance, -1),
                  batch = training ? joined(instance, 0) : Moments{wide(x, running_mean), wide(x, running_var)};
    if (training) {
      keep(running_mean, x, batch.mean);
      keep(running_var, x, batch.variance);
    }
    return normalize_with(x, mixed(mean_weight.on(x), {instance.mean, image.mean, batch.mean}),
                          mixed(variance_weight.on(x), {instance.variance, image.variance, batch.variance}),
                          weight.on(x), bias.on(x), {.epsilon = options.epsilon, .where = options.where});
  }

 private:
  // The moments of all that the sets along an axis hold, which are of one size: in double, as all moments are.
  static Moments joined(const Moments& sets, int axis) {
    const Moments means = moments(sets.mean, {.axes = axis});
    return {means.mean, mean(sets.variance, {.axes = axis, .keepdim = true}) + means.variance};
  }

  static Var wide(const Var& x, const Buffer& buffer) { return x.constant(buffer.value().to(DType::float64)); }

  // The buffer takes its next value with the step.
  void keep(const Buffer& buffer, const Var& x, const Var& now) const {
    const Var old = x.constant(buffer.next(x)), given = cast(reshape(now.detach(), old.shape()), old.dtype());
    buffer.update(x, (options.momentum * old + (1 - options.momentum) * given).value(), options.where);
  }

  static Var mixed(const Var& weights, const std::array<Var, 3>& parts) {
    const Var shares = softmax(cast(weights, DType::float64));
    const auto share = [&](std::int64_t i) { return slice(shares, {.begin = i, .end = i + 1}); };
    return share(0) * parts[0] + share(1) * parts[1] + share(2) * parts[2];
  }
};

void print_shares(const Context& context, const Sequential& model) {
  fmt::print("\n{:<6}  {:^25}  {:^25}\n{:<6}  {:>9}{:>8}{:>8}  {:>9}{:>8}{:>8}\n", "", "shares in the mean",
             "shares in the variance", "layer", "instance", "layer", "batch", "instance", "layer", "batch");
  for (std::size_t i = 0; i < model.size(); ++i) {
    if (!model[i].holds<SwitchableNorm2d>()) continue;
    const auto& norm = model.get<SwitchableNorm2d>(i);
    fmt::print("{:<6}", i);
    for (const Parameter* weights : {&norm.mean_weight, &norm.variance_weight}) {
      const Var shares = softmax(context.input(weights->value()));
      const auto of = shares.value().span<float>();
      fmt::print("  {:>9.3f}{:>8.3f}{:>8.3f}", of[0], of[1], of[2]);
    }
    fmt::print("\n");
  }
}

int own_norm(const example::Options& options) {
  Context context = example::make_context(options);
  const data::Split data = example::load(options);

  Sequential model = Input{28, 28, 1} >> Conv2d{{.out = 16, .kernel = 3, .stride = 2, .bias = false}} >>
                     SwitchableNorm2d{} >> Relu{} >> Conv2d{{.out = 32, .kernel = 3, .stride = 2, .bias = false}} >>
                     SwitchableNorm2d{} >> Relu{} >> Flatten{} >> Linear{{.out = 10}};
  model.build(context);

  const int code = example::train(context, model, data, options);
  if (code == 0 && !options.json) print_shares(context, model);
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  return example::run(argc, argv, "Trains a network with a norm that this file defines: switchable norm.",
                      {.epochs = 1, .batch_size = 32, .weight_decay = 0.05, .out = "runs/own_norm"}, own_norm);
}
