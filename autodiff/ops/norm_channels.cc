#include <fmt/format.h>

#include <cmath>

#include "autodiff/ops/norm.h"
#include "autodiff/ops/norm_inputs.h"
#include "kernels/norm_channels.h"

namespace tapestry {
namespace {

using kernels::ChannelNormDims;

// Sizes without groups, of inputs that fit each other.
ChannelNormDims channel_dims(const char* op, const Var& x, const Var& weight, const Var& bias, const Var& residual,
                             double epsilon, Activation activation, const Location& where) {
  if (!x.value()) fail<ArgumentError>(where, op, "the input holds nothing");
  const Shape& shape = x.shape();
  if (shape.rank() < 2 || shape[-1] == 0)
    fail<ShapeError>(where, op,
                     fmt::format("x must be [N, ..., C] with at least one channel; it is {}", to_string(shape)));
  if (x.dtype() != DType::float32 && x.dtype() != DType::float64) fail_dtype(op, x.dtype());
  detail::check_epsilon(op, epsilon, where);
  detail::check_beside(op, "weight", weight, x, {shape[-1]}, where);
  detail::check_beside(op, "bias", bias, x, {shape[-1]}, where);
  detail::check_beside(op, "residual", residual, x, shape, where);
  return {.batch = static_cast<std::size_t>(shape[0]),
          .positions = static_cast<std::size_t>(shape.product(1, shape.rank() - 1)),
          .channels = static_cast<std::size_t>(shape[-1]),
          .epsilon = epsilon,
          .relu = activation == Activation::relu};
}

// stats [batch, groups, 2] are written, or read where they are frozen.
Var channel_norm(const char* op, const ChannelNormDims& dims, const Var& x, const Var& weight, const Var& bias,
                 const Var& residual, Tensor stats, const Location& where) {
  const kernels::Device& device = x.device();
  const detail::NormInputs inputs(x, weight, bias, residual);
  Tensor y = x.value().like();
  visit_floating(op, x.dtype(), [&]<class T>(T) {
    kernels::channel_norm_forward(device, dims, x.value().span<T>(), weight.value().span<T>(), bias.value().span<T>(),
                                  residual.value().span<T>(), y.span<T>(), stats.span<double>());
  });
  const Tensor mask = inputs.mask(dims.relu, y);
  return record(op, y, inputs.span(), where,
                [op, &device, dims, at = inputs.places(), x = x.value(), weight = weight.value(), bias = bias.value(),
                 stats = std::as_const(stats), mask](const Tensor& dy, GradSlots grads) {
                  detail::NormGradients to(grads, at);
                  visit_floating(op, x.dtype(), [&]<class T>(T) {
                    kernels::channel_norm_backward(device, dims, x.span<T>(), weight.span<T>(), bias.span<T>(),
                                                   stats.span<double>(), mask.span<T>(), dy.span<T>(), to.dx.span<T>(),
                                                   to.dweight.span<T>(), to.dbias.span<T>(), to.dresidual.span<T>());
                  });
                });
}

Tensor new_stats(const ChannelNormDims& dims, const Var& x) {
  return x.value().like({static_cast<std::int64_t>(dims.batch), static_cast<std::int64_t>(dims.groups), 2},
                        DType::float64);
}

void check_buffer(const char* name, const Buffer& buffer, const Var& x, const Shape& shape, DType dtype,
                  const Location& where) {
  if (!buffer.built()) fail<ArgumentError>(where, "batch_norm", fmt::format("{} holds nothing", name));
  if (buffer.shape() != shape)
    fail<ShapeError>(where, "batch_norm",
                     fmt::format("{} must be {} for x {}; it is {}", name, to_string(shape), to_string(x.shape()),
                                 to_string(buffer.shape())));
  if (buffer.value().dtype() != dtype)
    fail<ArgumentError>(
        where, "batch_norm",
        fmt::format("{} must be {}; it is {}", name, dtype_name(dtype), dtype_name(buffer.value().dtype())));
}

// How many batches there were before this one.
std::int64_t tracked(const BatchNormOptions& o, const Var& x) {
  return o.num_batches_tracked->next(x).span<std::int64_t>()[0];
}

void check_running(const BatchNormOptions& o, const Var& x, std::size_t values) {
  const Shape channels{x.shape()[-1]};
  if ((o.running_mean == nullptr) != (o.running_var == nullptr))
    fail<ArgumentError>(o.where, "batch_norm", "running_mean and running_var are given together or not at all");
  if (!o.training && o.running_mean == nullptr)
    fail<ArgumentError>(o.where, "batch_norm", "evaluation needs running_mean and running_var");
  if (o.training && values < 2)
    fail<ShapeError>(o.where, "batch_norm",
                     fmt::format("training needs more than one value for each channel; x is {}", to_string(x.shape())));
  if (o.momentum && !(*o.momentum >= 0 && *o.momentum <= 1))
    fail<ArgumentError>(o.where, "batch_norm", fmt::format("momentum must be in [0, 1]; it is {}", *o.momentum));
  if (o.training && o.running_mean != nullptr && !o.momentum && o.num_batches_tracked == nullptr)
    fail<ArgumentError>(o.where, "batch_norm", "the average of all batches needs num_batches_tracked");
  if (o.running_mean != nullptr) {
    check_buffer("running_mean", *o.running_mean, x, channels, x.dtype(), o.where);
    check_buffer("running_var", *o.running_var, x, channels, x.dtype(), o.where);
  }
  if (o.num_batches_tracked != nullptr)
    check_buffer("num_batches_tracked", *o.num_batches_tracked, x, {}, DType::int64, o.where);
  constexpr std::int64_t kMost = std::int64_t{1} << 53;  // to which a double counts
  if (o.training && o.num_batches_tracked != nullptr && (tracked(o, x) < 0 || tracked(o, x) >= kMost))
    fail<ArgumentError>(o.where, "batch_norm",
                        fmt::format("num_batches_tracked must be in [0, 2^53); it is {}", tracked(o, x)));
}

// Queues (1 - momentum) running + momentum new; `values` is how many a channel has in this batch.
void queue_running(const BatchNormOptions& o, const Var& x, std::span<const double> stats, double values) {
  if (x.tape() == nullptr || o.running_mean == nullptr) return;
  std::int64_t batches = 1;
  if (o.num_batches_tracked != nullptr) {
    batches += tracked(o, x);
    Tensor next = o.num_batches_tracked->value().like();
    next.span<std::int64_t>()[0] = batches;
    o.num_batches_tracked->update(x, next, o.where);
  }
  const double momentum = o.momentum.value_or(1 / static_cast<double>(batches));
  const double correction = o.running_variance == RunningVariance::unbiased ? values / (values - 1) : 1;
  Tensor mean = o.running_mean->value().like(), var = mean.like();
  visit_floating("batch_norm", x.dtype(), [&]<class T>(T) {
    const auto old_mean = o.running_mean->next(x).span<T>(), old_var = o.running_var->next(x).span<T>();
    const auto next_mean = mean.span<T>(), next_var = var.span<T>();
    for (std::size_t c = 0; c < next_mean.size(); ++c) {
      const auto mix = [&](T old, double now) {
        return static_cast<T>((1 - momentum) * static_cast<double>(old) + momentum * now);
      };
      next_mean[c] = mix(old_mean[c], stats[2 * c]);
      next_var[c] = mix(old_var[c], stats[2 * c + 1] * correction);
    }
  });
  o.running_mean->update(x, mean, o.where);
  o.running_var->update(x, var, o.where);
}

}  // namespace

Var group_norm(const Var& x, const Var& weight, const Var& bias, const GroupNormOptions& options) {
  ChannelNormDims dims =
      channel_dims("group_norm", x, weight, bias, options.residual, options.epsilon, options.activation, options.where);
  if ((options.num_groups == 0) == (options.group_size == 0))
    fail<ArgumentError>(options.where, "group_norm",
                        fmt::format("give either num_groups or group_size; they are {} and {}", options.num_groups,
                                    options.group_size));
  const std::int64_t channels = x.shape()[-1], given = options.num_groups + options.group_size;
  if (given < 1 || channels % given != 0)
    fail<ShapeError>(
        options.where, "group_norm",
        options.num_groups != 0
            ? fmt::format("{} channels cannot form {} equal groups; x is {}", channels, given, to_string(x.shape()))
            : fmt::format("{} channels cannot form groups of {}; x is {}", channels, given, to_string(x.shape())));
  dims.groups = static_cast<std::size_t>(options.num_groups != 0 ? given : channels / given);
  const Var y = channel_norm("group_norm", dims, x, weight, bias, options.residual, new_stats(dims, x), options.where);
  return detail::finished(y, options.activation, options.where);
}

Var group_norm(const Var& x, const GroupNormOptions& options) { return group_norm(x, {}, {}, options); }

Var instance_norm(const Var& x, const Var& weight, const Var& bias, const InstanceNormOptions& options) {
  ChannelNormDims dims = channel_dims("instance_norm", x, weight, bias, options.residual, options.epsilon,
                                      options.activation, options.where);
  if (dims.positions == 1)
    fail<ShapeError>(options.where, "instance_norm",
                     fmt::format("a sample needs more than one position; x is {}", to_string(x.shape())));
  dims.groups = dims.channels;
  const Var y =
      channel_norm("instance_norm", dims, x, weight, bias, options.residual, new_stats(dims, x), options.where);
  return detail::finished(y, options.activation, options.where);
}

Var instance_norm(const Var& x, const InstanceNormOptions& options) { return instance_norm(x, {}, {}, options); }

Var batch_norm(const Var& x, const Var& weight, const Var& bias, const BatchNormOptions& options) {
  ChannelNormDims dims =
      channel_dims("batch_norm", x, weight, bias, options.residual, options.epsilon, options.activation, options.where);
  dims.positions *= std::exchange(dims.batch, 1);
  dims.groups = dims.channels;
  dims.frozen = !options.training;
  check_running(options, x, dims.positions);
  Tensor stats = new_stats(dims, x);
  if (dims.frozen)
    visit_floating("batch_norm", x.dtype(), [&]<class T>(T) {
      const auto mean = options.running_mean->value().span<T>(), var = options.running_var->value().span<T>();
      for (std::size_t c = 0; c < dims.channels; ++c) {
        if (var[c] < 0)
          fail<ArgumentError>(options.where, "batch_norm",
                              fmt::format("running_var must not be negative; channel {} has {}", c, var[c]));
        stats.span<double>()[2 * c] = static_cast<double>(mean[c]);
        stats.span<double>()[2 * c + 1] = static_cast<double>(var[c]);
      }
    });
  const Var y = channel_norm("batch_norm", dims, x, weight, bias, options.residual, stats, options.where);
  if (options.training)
    queue_running(options, x, std::as_const(stats).span<double>(), static_cast<double>(dims.positions));
  return detail::finished(y, options.activation, options.where);
}

Var batch_norm(const Var& x, const BatchNormOptions& options) { return batch_norm(x, {}, {}, options); }

}  // namespace tapestry
