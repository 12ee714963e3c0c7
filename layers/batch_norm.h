// Batch normalization, with the running statistics that evaluation uses.
#pragma once

#include "autodiff/ops/batch_norm.h"
#include "layers/norm_parts.h"

namespace tapestry {
namespace detail {

// batch_norm of inputs of `lowest` to `highest` axes (Ioffe and Szegedy 2015). In training the running statistics get
// their next values with the step: when an optimizer takes the gradients, or by tape.commit(). Defaults are those of
// brainpy and brainstate; pytorch::batch_norm2d() and its like have PyTorch's. Axes are those of x, where 0 is the
// batch.
class BatchNorm {
 public:
  struct Options {
    std::int64_t num_features = 0;  // 0: what the layer before gives
    int rank = 0;                   // of the inputs that are taken, the batch counts; 0: whatever the layer's name says
    Shape in_size = {};             // of a sample: x is N of them, or one without a batch; nothing: any
    Axes axis = {};                 // what is reduced: all but the feature axes, which follow from it if not given
    Axes feature_axes = {};         // along which parameters and buffers lie, in the order of x; nothing: -1
    double epsilon = 1e-5;
    std::optional<double> momentum = 0.99;  // the weight of the old value; nothing: the average of all batches
    bool track_running_stats = true;        // without them evaluation normalizes by its own batch, too
    RunningVariance running_variance = RunningVariance::biased;
    Activation activation = Activation::none;
    bool affine = true;  // false: neither weight nor bias
    bool weight = true;
    bool bias = true;
    Initializer weight_init = 1.0;
    Initializer bias_init = 0.0;
    Initializer running_mean_init = 0.0;
    Initializer running_var_init = 1.0;  // or running_inv_std's
    bool trainable = true;               // weight and bias
    bool use_fast_variance = true;
    std::optional<DType> dtype = std::nullopt;  // of y; nothing: the widest of x, weight and bias
    ReplicaAxes replicas = {};                  // whose statistics are averaged
    Location where = std::source_location::current();
  };

  Options options;
  Parameter weight, bias;            // [C]
  Buffer running_mean, running_var;  // [C]; running_var is named running_inv_std where it holds 1 / deviation
  Buffer num_batches_tracked;        // int64 []

  bool has_weight() const { return options.affine && options.weight; }
  bool has_bias() const { return options.affine && options.bias; }
  void visit(Visitor& v);
  Flow build(Builder& b, const Flow& in);
  Cost cost(const Shape& in, const Shape& out) const;
  Var operator()(const Var& x, Mode mode, const Tail& tail = {}) const { return (*this)(x, mode, Tensor{}, tail); }
  // What is not 0 in `mask`, which broadcasts to x, counts for the statistics; y is written everywhere.
  Var operator()(const Var& x, Mode mode, const Tensor& mask, const Tail& tail = {}) const;
  Part part() const {  // samples without a batch are reshaped behind the norm, before the pooling
    return Part::first(options.in_size.rank() == 0 ? Part::Stage::channel_norm : Part::Stage::norm, options.activation);
  }

 protected:
  BatchNorm(std::string_view name, int lowest, int highest, Options options)
      : options(std::move(options)), name_(name), lowest_(lowest), highest_(highest) {}

 private:
  int lowest() const { return options.rank > 0 ? options.rank : lowest_; }
  int highest() const { return options.rank > 0 ? options.rank : highest_; }
  Axes features(int rank) const;
  void check_sample(const Shape& sample) const;
  void check_input(const Var& x) const;
  Var normalize(const Var& x, Mode mode, const Tensor& mask, const Tail& taken) const;

  std::string_view name_;
  int lowest_, highest_;
};

}  // namespace detail

struct BatchNorm0d : detail::BatchNorm {  // [N, C]
  explicit BatchNorm0d(Options options) : BatchNorm("BatchNorm0d", 2, 2, std::move(options)) {}
  explicit BatchNorm0d(Location where = std::source_location::current()) : BatchNorm0d(Options{.where = where}) {}
};
struct BatchNorm1d : detail::BatchNorm {  // [N, C] or [N, L, C]
  explicit BatchNorm1d(Options options) : BatchNorm("BatchNorm1d", 2, 3, std::move(options)) {}
  explicit BatchNorm1d(Location where = std::source_location::current()) : BatchNorm1d(Options{.where = where}) {}
};
struct BatchNorm2d : detail::BatchNorm {  // [N, H, W, C]
  explicit BatchNorm2d(Options options) : BatchNorm("BatchNorm2d", 4, 4, std::move(options)) {}
  explicit BatchNorm2d(Location where = std::source_location::current()) : BatchNorm2d(Options{.where = where}) {}
};
struct BatchNorm3d : detail::BatchNorm {  // [N, D, H, W, C]
  explicit BatchNorm3d(Options options) : BatchNorm("BatchNorm3d", 5, 5, std::move(options)) {}
  explicit BatchNorm3d(Location where = std::source_location::current()) : BatchNorm3d(Options{.where = where}) {}
};

}  // namespace tapestry
