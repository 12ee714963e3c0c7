// Batch normalization, with the running statistics that evaluation uses.
#pragma once

#include "layers/norm_parts.h"
#include "layers/norm_sources.h"

namespace tapestry {
namespace detail {

// batch_norm of inputs of `lowest` to `highest` axes (Ioffe and Szegedy 2015). In training the running statistics get
// their next values with the step: when an optimizer takes the gradients, or by tape.commit(). Defaults are those of
// brainpy and brainstate; torch() has PyTorch's. Axes are those of x, where 0 is the batch.
class BatchNorm {
 public:
  struct Options {
    std::int64_t num_features = 0;  // 0: what the layer before gives
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
  bool takes_activation() const { return takes_tail(options); }
  bool takes_residual() const { return takes_tail(options); }
  bool takes_pool() const { return options.in_size.rank() == 0; }

 protected:
  BatchNorm(std::string_view name, int lowest, int highest, Options options)
      : options(std::move(options)), name_(name), lowest_(lowest), highest_(highest) {}
  void only_highest() { lowest_ = highest_; }

 private:
  Axes features(int rank) const;
  void check_sample(const Shape& sample) const;
  void check_input(const Var& x) const;
  Var normalize(const Var& x, Mode mode, const Tensor& mask, const Tail& tail) const;

  std::string_view name_;
  int lowest_, highest_;
};

BatchNorm::Options options_of(const BrainpyBatchNormOptions& options);
BatchNorm::Options options_of(const BrainstateBatchNormOptions& options);
BatchNorm::Options options_of(const NeupyBatchNormOptions& options);
BatchNorm::Options options_of(const TorchBatchNormOptions& options);

// The layer in the words of other toolkits.
template <class Layer>
class BatchNormSources : public BatchNorm {
 public:
  static Layer brainpy(const BrainpyBatchNormOptions& options) {
    Layer layer(options_of(options));
    layer.only_highest();  // brainpy's BatchNorm1d refuses [N, C]
    return layer;
  }
  static Layer brainstate(const BrainstateBatchNormOptions& options) { return Layer(options_of(options)); }
  static Layer neupy(const NeupyBatchNormOptions& options) { return Layer(options_of(options)); }
  static Layer torch(const TorchBatchNormOptions& options) { return Layer(options_of(options)); }
  static Layer brainpy(Location where = std::source_location::current()) {
    return brainpy(BrainpyBatchNormOptions{.where = where});
  }
  static Layer neupy(Location where = std::source_location::current()) {
    return neupy(NeupyBatchNormOptions{.where = where});
  }
  static Layer torch(Location where = std::source_location::current()) {
    return torch(TorchBatchNormOptions{.where = where});
  }

 protected:
  using BatchNorm::BatchNorm;
};

}  // namespace detail

struct BatchNorm0d : detail::BatchNormSources<BatchNorm0d> {  // [N, C]
  explicit BatchNorm0d(Options options) : BatchNormSources("BatchNorm0d", 2, 2, std::move(options)) {}
  explicit BatchNorm0d(Location where = std::source_location::current()) : BatchNorm0d(Options{.where = where}) {}
};
struct BatchNorm1d : detail::BatchNormSources<BatchNorm1d> {  // [N, C] or [N, L, C]
  explicit BatchNorm1d(Options options) : BatchNormSources("BatchNorm1d", 2, 3, std::move(options)) {}
  explicit BatchNorm1d(Location where = std::source_location::current()) : BatchNorm1d(Options{.where = where}) {}
};
struct BatchNorm2d : detail::BatchNormSources<BatchNorm2d> {  // [N, H, W, C]
  explicit BatchNorm2d(Options options) : BatchNormSources("BatchNorm2d", 4, 4, std::move(options)) {}
  explicit BatchNorm2d(Location where = std::source_location::current()) : BatchNorm2d(Options{.where = where}) {}
};
struct BatchNorm3d : detail::BatchNormSources<BatchNorm3d> {  // [N, D, H, W, C]
  explicit BatchNorm3d(Options options) : BatchNormSources("BatchNorm3d", 5, 5, std::move(options)) {}
  explicit BatchNorm3d(Location where = std::source_location::current()) : BatchNorm3d(Options{.where = where}) {}
};

}  // namespace tapestry
