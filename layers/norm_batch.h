// Batch normalization, with the running statistics that evaluation uses.
#pragma once

#include "layers/norm.h"

namespace tapestry {
namespace detail {

// batch_norm of inputs of `lowest` to `highest` axes (torch.nn.BatchNorm1d to 3d). In training the running statistics
// get their next values with the step: when an optimizer takes the gradients, or by tape.commit().
class BatchNorm {
 public:
  struct Options {
    std::int64_t num_features = 0;  // 0: the last axis of what the layer before gives
    double epsilon = 1e-5;
    std::optional<double> momentum = 0.1;  // the weight of the new value; nothing: the average of all batches
    bool track_running_stats = true;       // without them evaluation normalizes by its own batch, too
    RunningVariance running_variance = RunningVariance::unbiased;
    Activation activation = Activation::none;
    bool weight = true;
    bool bias = true;
    Initializer weight_init = Constant{1};
    Initializer bias_init = Constant{0};
    Location where = std::source_location::current();
  };

  Options options;
  Parameter weight, bias;            // [C]
  Buffer running_mean, running_var;  // [C]
  Buffer num_batches_tracked;        // int64 []

  void visit(Visitor& v);
  Flow build(Builder& b, const Flow& in);
  Cost cost(const Shape& in, const Shape& out) const;
  Var operator()(const Var& x, Mode mode, const Tail& tail = {}) const;
  bool takes_activation() const { return options.activation == Activation::none; }
  bool takes_residual() const { return options.activation == Activation::none; }

 protected:
  BatchNorm(std::string_view name, int lowest, int highest, Options options)
      : options(std::move(options)), name_(name), lowest_(lowest), highest_(highest) {}

 private:
  std::string_view name_;
  int lowest_, highest_;
};

}  // namespace detail

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
