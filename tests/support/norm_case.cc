#include "tests/support/norm_case.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "autodiff/ops/elementwise.h"
#include "autodiff/ops/moments.h"
#include "autodiff/ops/reshape.h"
#include "autodiff/tape.h"
#include "kernels/random.h"

namespace tapestry::test {
namespace {

std::vector<double> normal_floats(std::size_t n, double mean, double std, std::uint64_t seed, std::uint64_t stream) {
  const Philox philox(seed, stream);
  std::vector<double> values(n);
  for (std::size_t i = 0; i < n; ++i)
    values[i] = static_cast<double>(static_cast<float>(mean + std * normal_pair(philox, i)[0]));
  return values;
}

Axes trailing(int axes) {
  Axes all;
  for (int axis = -axes; axis < 0; ++axis) all.add(axis);
  return all;
}

bool is_layer(const NormCase& c) { return c.kind == NormKind::layer || c.kind == NormKind::rms; }

Axes features(const NormCase& c) {
  return c.features.count() > 0 ? c.features : is_layer(c) ? trailing(c.axes) : Axes{-1};
}

Axes reduction(const NormCase& c) {
  if (c.reduction.count() > 0) return c.reduction;
  if (is_layer(c)) return trailing(c.axes);
  if (c.kind == NormKind::group) return axes_but(c.shape, 0);
  Axes kept = features(c);
  if (c.kind == NormKind::instance) kept.add(0);
  return axes_but(c.shape, kept);
}

Shape sizes_of(const Shape& shape, const Axes& axes) {
  std::vector<std::int64_t> sizes;
  for (int axis : axes) sizes.push_back(shape[axis]);
  return Shape(std::span<const std::int64_t>(sizes));
}

std::size_t channels_of(const NormCase& c) { return static_cast<std::size_t>(sizes_of(c.shape, features(c)).size()); }
std::size_t group_size(const NormCase& c) { return channels_of(c) / static_cast<std::size_t>(c.num_groups); }

// The axes of group norm over which a group of channels is normalized.
Axes positions(const NormCase& c) {
  Axes all;
  const Axes without = axes_but(c.shape, features(c));
  for (int axis : without)
    for (int reduced : reduction(c))
      if (c.shape.axis(reduced) == axis) all.add(axis);
  return all;
}

Tensor tensor_of(const Context& context, const Shape& shape, const std::vector<double>& values, DType dtype) {
  return context.tensor(shape, std::span<const double>(values)).to(dtype);
}

std::vector<double> values_of(const Tensor& tensor) {
  if (!tensor) return {};
  const Tensor wide = tensor.to(DType::float64);
  const auto values = std::as_const(wide).span<double>();
  return {values.begin(), values.end()};
}

struct Running {
  Running(const Context& context, const NormCase& c, const NormProblem& problem, DType dtype) {
    const bool frozen = !problem.frozen_mean.empty();
    const auto set = [&](Buffer& buffer, const std::vector<double>& values, double otherwise) {
      buffer.set(values.empty() ? context.full(parameter_shape(c), otherwise, dtype)
                                : tensor_of(context, parameter_shape(c), values, dtype));
    };
    set(mean, frozen ? problem.frozen_mean : problem.running_mean, 0);
    std::vector<double> kept = frozen ? problem.frozen_var : problem.running_var;
    if (frozen && c.running_variance == RunningVariance::inverse_std)
      for (double& value : kept) value = 1 / std::sqrt(value + c.epsilon);
    set(var, kept, 1);
  }
  Buffer mean, var;
};

// What counts, in the mask's own shape and one of the types that a mask may have.
Tensor mask_of(const Context& context, const NormCase& c, const NormProblem& problem) {
  if (!c.mask) return {};
  std::vector<double> values(static_cast<std::size_t>(c.mask->size()));
  const std::vector<std::size_t> at = index_in(c.shape, *c.mask);
  for (std::size_t i = 0; i < at.size(); ++i) values[at[i]] = problem.selected[i] ? 1 : 0;
  constexpr DType kTypes[] = {DType::float32, DType::float64, DType::int64};
  return tensor_of(context, *c.mask, values, kTypes[c.seed % 3]);
}

template <class Options>
Options common(const NormCase& c, const Var& residual, const Tensor& mask) {
  Options options;
  options.epsilon = c.epsilon;
  options.activation = c.relu ? Activation::relu : Activation::none;
  options.residual = residual;
  options.mask = mask;
  options.use_fast_variance = c.fast_variance;
  if (c.features.count() > 0) options.feature_axes = c.features;
  return options;
}

// As a user writes a norm.
Var written(const NormCase& c, const Tensor& mask, const Var& x, const Var& weight, const Var& bias,
            const Var& residual) {
  Shape beside = c.shape;
  for (int axis : axes_but(c.shape, features(c))) beside = beside.with(axis, 1);
  const auto lying = [&](const Var& parameter) { return parameter.value() ? reshape(parameter, beside) : parameter; };
  const Moments m = moments(x, {.axes = reduction(c), .mask = mask});
  const Var y = normalize_with(x, m.mean, m.variance, lying(weight), lying(bias), {.epsilon = c.epsilon});
  return activate(residual.value() ? y + residual : y, c.relu ? Activation::relu : Activation::none);
}

Var apply(const NormCase& c, const Running& running, const Tensor& mask, const Var& x, const Var& weight,
          const Var& bias, const Var& residual) {
  if (c.written) return written(c, mask, x, weight, bias, residual);
  if (c.kind == NormKind::group) {
    auto options = common<GroupNormOptions>(c, residual, mask);
    options.num_groups = c.num_groups;
    options.reduction_axes = c.reduction;
    options.affine = c.per_position ? AffineShape::per_position : AffineShape::per_channel;
    return group_norm(x, weight, bias, options);
  }
  const auto over_axes = [&](auto options) {
    options.axes = c.axes;
    options.reduction_axes = c.reduction;
    return options;
  };
  if (c.kind == NormKind::layer)
    return layer_norm(x, weight, bias, over_axes(common<LayerNormOptions>(c, residual, mask)));
  if (c.kind == NormKind::rms) return rms_norm(x, weight, over_axes(common<RmsNormOptions>(c, residual, mask)));
  if (c.kind == NormKind::instance)
    return instance_norm(x, weight, bias, common<InstanceNormOptions>(c, residual, mask));
  auto options = common<BatchNormOptions>(c, residual, mask);
  options.training = c.kind == NormKind::batch_train;
  options.running_mean = &running.mean;
  options.running_var = &running.var;
  options.momentum = 1 - c.share;
  options.running_variance = c.running_variance;
  return batch_norm(x, weight, bias, options);
}

// No gradient comes where a rounding may decide whether the ReLU lets it pass.
void stop_near_kink(NormProblem& p) {
  p.relu = false;
  const std::vector<double> before = solve(p).y;
  p.relu = true;
  double near = 0;
  for (double value : before) near = std::max(near, 1e-5 * (std::isfinite(value) ? std::abs(value) : 0));
  for (std::size_t i = 0; i < before.size(); ++i)
    if (std::abs(before[i]) < near) p.dy[i] = 0;
}

}  // namespace

const char* kind_name(NormKind kind) {
  constexpr const char* names[] = {
      "group_norm", "layer_norm", "rms_norm", "batch_norm in training", "batch_norm in evaluation", "instance_norm"};
  return names[static_cast<int>(kind)];
}

std::string describe(const NormCase& c) {
  return fmt::format(
      "{} of {}: groups {}, axes {}, reduction [{}], features [{}], per position {}, mask {}, epsilon {}, weight {}, "
      "bias "
      "{}, residual {}, relu {}, written {}, mean {}, std {}, dy_mean {}, seed {}",
      kind_name(c.kind), to_string(c.shape), c.num_groups, c.axes, fmt::join(c.reduction, ","),
      fmt::join(c.features, ","), c.per_position, c.mask ? to_string(*c.mask) : "none", c.epsilon, c.weight, c.bias,
      c.residual, c.relu, c.written, c.mean, c.constant ? 0 : c.std, c.dy_mean, c.seed);
}

Shape parameter_shape(const NormCase& c) {
  if (!c.per_position) return sizes_of(c.shape, features(c));
  std::vector<std::int64_t> sizes;
  for (int axis : positions(c)) sizes.push_back(c.shape[axis]);
  sizes.push_back(static_cast<std::int64_t>(group_size(c)));
  return Shape(std::span<const std::int64_t>(sizes));
}

NormProblem arranged(const NormCase& c) {
  NormProblem p;
  p.set = index_over(c.shape, axes_but(c.shape, reduction(c)));
  p.affine = index_over(c.shape, features(c));
  if (c.kind == NormKind::group) {
    const std::vector<std::size_t> channel = p.affine, position = index_over(c.shape, positions(c));
    const std::size_t size = group_size(c), groups = static_cast<std::size_t>(c.num_groups);
    for (std::size_t i = 0; i < channel.size(); ++i) {
      p.set[i] = p.set[i] * groups + channel[i] / size;
      if (c.per_position) p.affine[i] = position[i] * size + channel[i] % size;
    }
  }
  p.center = c.kind != NormKind::rms;
  p.relu = c.relu;
  p.epsilon = c.epsilon;
  return p;
}

NormProblem draw(const NormCase& c) {
  const auto n = static_cast<std::size_t>(c.shape.size()),
             parameters = static_cast<std::size_t>(parameter_shape(c).size());
  const auto normal = [&](std::size_t count, double mean, double std, std::uint64_t stream) {
    return normal_floats(count, mean, std, c.seed, stream);
  };
  NormProblem p = arranged(c);
  p.x = normal(n, c.mean, c.constant ? 0 : c.std, 0);
  p.dy = normal(n, c.dy_mean, c.dy_mean == 0 ? 1 : 0, 1);
  if (c.weight) p.weight = normal(parameters, 1, 0.5, 2);
  if (c.bias) p.bias = normal(parameters, 0, 1, 3);
  if (c.residual) p.residual = normal(n, 0, 1, 4);
  if (c.kind == NormKind::batch_eval) {
    p.frozen_mean = normal(parameters, c.mean, c.std, 5);
    p.frozen_var = normal(parameters, 0, 1, 6);
    for (double& v : p.frozen_var) {
      v = static_cast<double>(static_cast<float>(c.std * c.std * (0.5 + v * v)));
      if (c.running_variance != RunningVariance::inverse_std) continue;
      const double inverse = static_cast<double>(static_cast<float>(1 / std::sqrt(v + c.epsilon)));
      v = 1 / (inverse * inverse) - c.epsilon;  // a float is kept
    }
  }
  if (c.mask) {
    const Philox philox(c.seed, 7);
    for (std::size_t at : index_in(c.shape, *c.mask))
      p.selected.push_back(c.mask->size() == 1 || philox.uniform(at) < 0.8);
  }
  if (c.relu) stop_near_kink(p);
  return p;
}

NormSolution solution_of(const NormCase& c, const NormProblem& problem) {
  NormSolution solution = solve(problem);
  if (c.kind == NormKind::batch_train) next_running(problem, c.running_variance, c.share, solution);
  return solution;
}

NormResults run(Context& context, const NormCase& c, const NormProblem& problem, DType dtype) {
  Tape tape{context};
  const Shape parameters = parameter_shape(c);
  const auto leaf = [&](const Shape& shape, const std::vector<double>& values, bool there) {
    return there ? tape.variable(tensor_of(context, shape, values, dtype)) : Var{};
  };
  const Var x = leaf(c.shape, problem.x, true), weight = leaf(parameters, problem.weight, c.weight),
            bias = leaf(parameters, problem.bias, c.bias), residual = leaf(c.shape, problem.residual, c.residual);
  const Running running(context, c, problem, dtype);
  const Var y = apply(c, running, mask_of(context, c, problem), x, weight, bias, residual);
  const Gradients gradients = tape.backward(y, tensor_of(context, c.shape, problem.dy, dtype));
  tape.commit();
  const auto gradient = [&](const Var& of) { return of.value() ? values_of(gradients[of]) : std::vector<double>{}; };
  NormResults results{.y = values_of(y.value()),
                      .dx = gradient(x),
                      .dweight = gradient(weight),
                      .dbias = gradient(bias),
                      .dresidual = gradient(residual)};
  if (c.kind == NormKind::batch_train && !c.written) {
    results.running_mean = values_of(running.mean.value());
    results.running_var = values_of(running.var.value());
  }
  return results;
}

}  // namespace tapestry::test
