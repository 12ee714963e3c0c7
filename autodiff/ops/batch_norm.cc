#include "autodiff/ops/batch_norm.h"

#include <algorithm>
#include <cmath>

#include "autodiff/ops/channel_norm.h"
#include "autodiff/ops/normalize.h"

namespace tapestry {
namespace {

using detail::NormOperands;

constexpr const char* kOp = "batch_norm";

void check_buffer(const char* name, const Buffer& buffer, const Var& x, const Shape& shape, bool floating,
                  const Location& where) {
  if (!buffer.built()) fail<ArgumentError>(where, kOp, fmt::format("{} holds nothing", name));
  if (buffer.shape() != shape)
    fail<ShapeError>(where, kOp,
                     fmt::format("{} must be {} for x {}; it is {}", name, to_string(shape), to_string(x.shape()),
                                 to_string(buffer.shape())));
  if (floating == (buffer.value().dtype() == DType::int64))
    fail<ArgumentError>(where, kOp,
                        fmt::format("{} must be {}; it is {}", name, floating ? "float32 or float64" : "int64",
                                    dtype_name(buffer.value().dtype())));
}

// How many batches there were before this one.
std::int64_t tracked(const BatchNormOptions& o, const Var& x) {
  return o.num_batches_tracked->next(x).span<std::int64_t>()[0];
}

void check_running(const BatchNormOptions& o, const Var& x, const Shape& features, int replicas) {
  if ((o.running_mean == nullptr) != (o.running_var == nullptr))
    fail<ArgumentError>(o.where, kOp, "running_mean and running_var are given together or not at all");
  if (!o.training && o.running_mean == nullptr)
    fail<ArgumentError>(o.where, kOp, "evaluation needs running_mean and running_var");
  if (o.training && x.shape().size() == features.size() && replicas == 1)
    fail<ShapeError>(o.where, kOp,
                     fmt::format("training needs more than one value for each channel; x is {}", to_string(x.shape())));
  if (o.momentum && !(*o.momentum >= 0 && *o.momentum <= 1))
    fail<ArgumentError>(o.where, kOp, fmt::format("momentum must be in [0, 1]; it is {}", *o.momentum));
  if (o.training && o.running_mean != nullptr && !o.momentum && o.num_batches_tracked == nullptr)
    fail<ArgumentError>(o.where, kOp, "the average of all batches needs num_batches_tracked");
  if (o.running_mean != nullptr) {
    check_buffer("running_mean", *o.running_mean, x, features, true, o.where);
    check_buffer("running_var", *o.running_var, x, features, true, o.where);
  }
  if (o.num_batches_tracked != nullptr)
    check_buffer("num_batches_tracked", *o.num_batches_tracked, x, {}, false, o.where);
  constexpr std::int64_t kMost = std::int64_t{1} << 53;  // to which a double counts
  if (o.training && o.num_batches_tracked != nullptr && (tracked(o, x) < 0 || tracked(o, x) >= kMost))
    fail<ArgumentError>(o.where, kOp, fmt::format("num_batches_tracked must be in [0, 2^53); it is {}", tracked(o, x)));
}

// Statistics of channels: mean, biased variance and, in the third of three, elements over those that count.
struct ChannelStats {
  ChannelStats(const Tensor& stats, std::int64_t elements)
      : values(stats.span<double>()),
        stride(static_cast<std::size_t>(stats.shape()[-1])),
        counts(stats.like({stats.size() / stats.shape()[-1]})) {
    const auto to = counts.span<double>();
    for (std::size_t c = 0; c < to.size(); ++c)
      to[c] = static_cast<double>(elements) / (stride == 3 ? values[c * stride + 2] : 1);
  }
  // Counts what lies in all replicas, too.
  void share(const detail::ReplicaMean& replicas) {
    const auto to = counts.span<double>();
    replicas(to);
    for (double& count : to) count *= replicas.count();
  }

  double mean(std::size_t c) const { return values[c * stride]; }
  double variance(std::size_t c) const { return values[c * stride + 1]; }
  // The variance as it is averaged.
  double running(std::size_t c, const BatchNormOptions& o) const {
    if (o.running_variance == RunningVariance::inverse_std) return 1 / std::sqrt(variance(c) + o.epsilon);
    const double count = std::as_const(counts).span<double>()[c];
    return o.running_variance == RunningVariance::unbiased && count > 1 ? variance(c) * (count / (count - 1))
                                                                        : variance(c);
  }

  std::span<const double> values;
  std::size_t stride;
  Tensor counts;  // elements of each channel that count
};

// weight old + (1 - weight) now for each channel; nothing where one of the new values is not finite as the buffer holds
// it.
template <class Now>
Tensor next_of(const Buffer& buffer, const Var& x, double weight, const Now& now) {
  Tensor next = buffer.value().like();
  bool finite = true;
  visit_floating(kOp, next.dtype(), [&]<class T>(T) {
    const auto old = buffer.next(x).span<T>();
    const auto to = next.span<T>();
    for (std::size_t c = 0; c < to.size(); ++c) {
      const double value = now(c);
      finite = finite && std::isfinite(static_cast<T>(value));
      to[c] = static_cast<T>((weight == 0 ? 0 : weight * static_cast<double>(old[c])) + (1 - weight) * value);
    }
  });
  return finite ? next : Tensor{};
}

void queue_running(const BatchNormOptions& o, const Var& x, const ChannelStats& stats) {
  if (x.tape() == nullptr || o.running_mean == nullptr || x.shape().size() == 0) return;
  const std::int64_t batches = 1 + (o.num_batches_tracked == nullptr ? 0 : tracked(o, x));
  const double weight = o.momentum.value_or(1 - 1 / static_cast<double>(batches));
  const Tensor mean = next_of(*o.running_mean, x, weight, [&](std::size_t c) { return stats.mean(c); });
  const Tensor var = next_of(*o.running_var, x, weight, [&](std::size_t c) { return stats.running(c, o); });
  if (!mean || !var) return;
  o.running_mean->update(x, mean, o.where);
  o.running_var->update(x, var, o.where);
  if (o.num_batches_tracked == nullptr) return;
  Tensor next = o.num_batches_tracked->value().like();
  next.span<std::int64_t>()[0] = batches;
  o.num_batches_tracked->update(x, next, o.where);
}

// Reads the statistics that are used in evaluation; those of inverse_std as the variance with this rstd for epsilon 0.
void read_running(const BatchNormOptions& o, std::span<double> stats) {
  const bool inverse = o.running_variance == RunningVariance::inverse_std;
  const auto read = [](const Buffer& buffer, const auto& body) {
    visit_floating(kOp, buffer.value().dtype(), [&]<class T>(T) {
      const auto values = buffer.value().span<T>();
      for (std::size_t c = 0; c < values.size(); ++c) body(c, static_cast<double>(values[c]));
    });
  };
  read(*o.running_mean, [&](std::size_t c, double mean) { stats[2 * c] = mean; });
  read(*o.running_var, [&](std::size_t c, double value) {
    if (value < 0)
      fail<ArgumentError>(o.where, kOp,
                          fmt::format("{} must not be negative; channel {} has {}",
                                      inverse ? "running_inv_std" : "running_var", c, value));
    stats[2 * c + 1] = inverse ? 1 / (value * value) : value;
  });
}

// With statistics of the batch by itself, or frozen ones.
Var channel_batch_norm(const NormOperands& in, const Axes& features, const BatchNormOptions& o) {
  const detail::FeaturesLast last(in.x.shape(), features);
  NormOperands flat = in;
  flat.take(last(in.x, o.where), Shape{last.channels()}, o.where);
  const auto channels = static_cast<std::size_t>(last.channels());
  kernels::ChannelNormDims dims{.batch = 1,
                                .positions = static_cast<std::size_t>(in.x.shape().size()) / channels,
                                .channels = channels,
                                .groups = channels,
                                .epsilon = o.epsilon,
                                .frozen = !o.training,
                                .two_pass = !o.use_fast_variance};
  Tensor stats = detail::channel_stats(dims, in.x);
  if (dims.frozen) {
    read_running(o, stats.span<double>());
    if (o.running_variance == RunningVariance::inverse_std) dims.epsilon = 0;
  }
  const auto norm = [&](const Var& residual, bool relu, const CallOptions& options) {
    dims.relu = relu;
    return channel_norm(kOp, dims, flat, residual, stats, o.pool, options);
  };
  const Var y = last.moves() ? detail::finished(last.back(norm({}, false, o.where), o.where), o.dtype, o.residual,
                                                o.activation, o.where)
                             : detail::with_tail(flat.x, o, norm);
  if (!o.training) return y;
  queue_running(o, y, ChannelStats(stats, static_cast<std::int64_t>(dims.positions)));
  return y;
}

}  // namespace

Var batch_norm(const Var& x, const Var& weight, const Var& bias, const BatchNormOptions& o) {
  detail::check_operands(kOp, x, o.dtype, o.where);
  const Axes axes = detail::rising_axes(kOp, "feature_axes", o.feature_axes, x.shape(), o.where);
  const Shape features = detail::sizes_of(x.shape(), axes);
  if (axes.count() == 0 || axes.count() == x.shape().rank() || features.size() == 0)
    fail<ShapeError>(o.where, kOp,
                     fmt::format("x must be [N, ..., C] with at least one channel; it is {}", to_string(x.shape())));
  detail::check_epsilon(kOp, o.epsilon, o.where);
  detail::check_beside(kOp, "weight", weight, x, features, o.where);
  detail::check_beside(kOp, "bias", bias, x, features, o.where);
  detail::check_beside(kOp, "residual", o.residual, x, x.shape(), o.where);
  detail::check_mask(kOp, o.mask, x.shape(), o.where);
  const detail::ReplicaMean replicas(x, o.training ? o.replicas : nullptr, kOp, o.where);
  check_running(o, x, features, replicas.count());
  const bool alone = !o.mask && !replicas;
  if (o.pool.axes != 0 && !detail::pools_too(x, weight, bias, axes, o)) {
    BatchNormOptions rest = o;
    rest.pool = {};
    return max_pool(batch_norm(x, weight, bias, rest), o.pool);
  }
  const NormOperands in(x, weight, bias, o.where);
  if (!o.training || alone) return channel_batch_norm(in, axes, o);
  const detail::Normalized result = detail::normalize(in.x, detail::spread(in.weight, x.shape(), axes, o.where),
                                                      detail::spread(in.bias, x.shape(), axes, o.where),
                                                      {.op = kOp,
                                                       .axes = detail::other_axes(x.shape().rank(), axes),
                                                       .epsilon = o.epsilon,
                                                       .mask = detail::whole_mask(o.mask, in.x, o.where),
                                                       .replicas = replicas,
                                                       .where = o.where});
  const Var y = detail::finished(result.y, o.dtype, o.residual, o.activation, o.where);
  ChannelStats stats(result.stats, x.shape().size() / features.size());
  if (replicas && o.running_mean != nullptr && o.running_variance == RunningVariance::unbiased) stats.share(replicas);
  queue_running(o, y, stats);
  return y;
}

Var batch_norm(const Var& x, const BatchNormOptions& options) { return batch_norm(x, {}, {}, options); }

}  // namespace tapestry
