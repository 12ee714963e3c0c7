// Pooling layers: each is the op of its name, see autodiff/ops/pool.h. The shapes of samples are [L, C], [H, W, C] and
// [D, H, W, C].
#pragma once

#include "autodiff/ops/pool.h"
#include "layers/builder.h"
#include "layers/fusion.h"

namespace tapestry {
namespace detail {

template <class OpOptions>
class Pool {
 public:
  using Options = OpOptions;
  Options options;

  Flow build(Builder&, const Flow& in) const {
    return in.shape ? Flow(pooled_shape(op_, in.shape->prepend(1), options).drop_front(), in.guessed) : Flow();
  }
  // One for each position of each window.
  Cost cost(const Shape& in, const Shape& out) const {
    auto flops = static_cast<double>(in.size());
    if constexpr (requires { options.kernel; }) {
      flops = static_cast<double>(out.size());
      for (const std::int64_t size : options.kernel.values) flops *= static_cast<double>(size);
    }
    return {flops, static_cast<double>(out.size()) * sizeof(float)};
  }
  Var operator()(const Var& x) const { return function_(x, options); }

 protected:
  using Function = Var (*)(const Var&, const Options&);
  Pool(const char* op, Function function, const Options& options) : options(options), op_(op), function_(function) {}

 private:
  const char* op_;
  Function function_;
};

// What follows a norm in its pass, where windows lie side by side; other poolings are passes of their own.
template <int Axes>
Part pool_part(const MaxPoolOptions<Axes>& o) {
  const bool side_by_side = (o.stride == Sizes<Axes>(0) || o.stride == o.kernel) && o.padding == Sizes<Axes>(0) &&
                            o.dilation == Sizes<Axes>(1) && !o.ceil_mode;
  return side_by_side ? Part::follower({.pool = PoolWindows(o.kernel, o.where)}) : Part{};
}

}  // namespace detail

// MaxPool2d{2}: windows of 2x2 without overlap. MaxPool2d{{.kernel = 3, .stride = 2, .padding = 1}}: all options.
struct MaxPool1d : detail::Pool<MaxPoolOptions<1>> {
  explicit MaxPool1d(const Options& options) : Pool("max_pool1d", max_pool1d, options) {}
  explicit MaxPool1d(const Sizes<1>& kernel, Location where = std::source_location::current())
      : MaxPool1d(Options{.kernel = kernel, .where = where}) {}
  Part part() const { return detail::pool_part(options); }
};
struct MaxPool2d : detail::Pool<MaxPoolOptions<2>> {
  explicit MaxPool2d(const Options& options) : Pool("max_pool2d", max_pool2d, options) {}
  explicit MaxPool2d(const Sizes<2>& kernel, Location where = std::source_location::current())
      : MaxPool2d(Options{.kernel = kernel, .where = where}) {}
  Part part() const { return detail::pool_part(options); }
};
struct MaxPool3d : detail::Pool<MaxPoolOptions<3>> {
  explicit MaxPool3d(const Options& options) : Pool("max_pool3d", max_pool3d, options) {}
  explicit MaxPool3d(const Sizes<3>& kernel, Location where = std::source_location::current())
      : MaxPool3d(Options{.kernel = kernel, .where = where}) {}
  Part part() const { return detail::pool_part(options); }
};

struct AvgPool1d : detail::Pool<AvgPoolOptions<1>> {
  explicit AvgPool1d(const Options& options) : Pool("avg_pool1d", avg_pool1d, options) {}
  explicit AvgPool1d(const Sizes<1>& kernel, Location where = std::source_location::current())
      : AvgPool1d(Options{.kernel = kernel, .where = where}) {}
};
struct AvgPool2d : detail::Pool<AvgPoolOptions<2>> {
  explicit AvgPool2d(const Options& options) : Pool("avg_pool2d", avg_pool2d, options) {}
  explicit AvgPool2d(const Sizes<2>& kernel, Location where = std::source_location::current())
      : AvgPool2d(Options{.kernel = kernel, .where = where}) {}
};
struct AvgPool3d : detail::Pool<AvgPoolOptions<3>> {
  explicit AvgPool3d(const Options& options) : Pool("avg_pool3d", avg_pool3d, options) {}
  explicit AvgPool3d(const Sizes<3>& kernel, Location where = std::source_location::current())
      : AvgPool3d(Options{.kernel = kernel, .where = where}) {}
};

// AdaptiveAvgPool2d{1}: one window.
struct AdaptiveMaxPool1d : detail::Pool<AdaptivePoolOptions<1>> {
  explicit AdaptiveMaxPool1d(const Options& options) : Pool("adaptive_max_pool1d", adaptive_max_pool1d, options) {}
  explicit AdaptiveMaxPool1d(const Sizes<1>& output_size, Location where = std::source_location::current())
      : AdaptiveMaxPool1d(Options{.output_size = output_size, .where = where}) {}
};
struct AdaptiveMaxPool2d : detail::Pool<AdaptivePoolOptions<2>> {
  explicit AdaptiveMaxPool2d(const Options& options) : Pool("adaptive_max_pool2d", adaptive_max_pool2d, options) {}
  explicit AdaptiveMaxPool2d(const Sizes<2>& output_size, Location where = std::source_location::current())
      : AdaptiveMaxPool2d(Options{.output_size = output_size, .where = where}) {}
};
struct AdaptiveMaxPool3d : detail::Pool<AdaptivePoolOptions<3>> {
  explicit AdaptiveMaxPool3d(const Options& options) : Pool("adaptive_max_pool3d", adaptive_max_pool3d, options) {}
  explicit AdaptiveMaxPool3d(const Sizes<3>& output_size, Location where = std::source_location::current())
      : AdaptiveMaxPool3d(Options{.output_size = output_size, .where = where}) {}
};

struct AdaptiveAvgPool1d : detail::Pool<AdaptivePoolOptions<1>> {
  explicit AdaptiveAvgPool1d(const Options& options) : Pool("adaptive_avg_pool1d", adaptive_avg_pool1d, options) {}
  explicit AdaptiveAvgPool1d(const Sizes<1>& output_size, Location where = std::source_location::current())
      : AdaptiveAvgPool1d(Options{.output_size = output_size, .where = where}) {}
};
struct AdaptiveAvgPool2d : detail::Pool<AdaptivePoolOptions<2>> {
  explicit AdaptiveAvgPool2d(const Options& options) : Pool("adaptive_avg_pool2d", adaptive_avg_pool2d, options) {}
  explicit AdaptiveAvgPool2d(const Sizes<2>& output_size, Location where = std::source_location::current())
      : AdaptiveAvgPool2d(Options{.output_size = output_size, .where = where}) {}
};
struct AdaptiveAvgPool3d : detail::Pool<AdaptivePoolOptions<3>> {
  explicit AdaptiveAvgPool3d(const Options& options) : Pool("adaptive_avg_pool3d", adaptive_avg_pool3d, options) {}
  explicit AdaptiveAvgPool3d(const Sizes<3>& output_size, Location where = std::source_location::current())
      : AdaptiveAvgPool3d(Options{.output_size = output_size, .where = where}) {}
};

// [N, ..., C] -> [N, C].
struct GlobalMaxPool : detail::Pool<GlobalPoolOptions> {
  explicit GlobalMaxPool(const Options& options) : Pool("global_max_pool", global_max_pool, options) {}
  explicit GlobalMaxPool(Location where = std::source_location::current()) : GlobalMaxPool(Options{.where = where}) {}
};
struct GlobalAvgPool : detail::Pool<GlobalPoolOptions> {
  explicit GlobalAvgPool(const Options& options) : Pool("global_avg_pool", global_avg_pool, options) {}
  explicit GlobalAvgPool(Location where = std::source_location::current()) : GlobalAvgPool(Options{.where = where}) {}
};

}  // namespace tapestry
